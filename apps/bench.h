// The options of `moefy bench`, and what its two halves share: one FFN (cmd_bench.cpp) and whole
// models (bench_end_to_end.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/benchmark.h"
#include "command.h"

namespace moefy::apps {

struct BenchOptions {
  std::string model;
  std::string shape;
  std::string routing = "uniform";
  int64_t experts = 0;
  int64_t expert_size = 0;
  std::vector<double> tokens = {1, 8, 32, 128, 512};
  std::vector<double> ffn_ratios = {0.2};
  std::vector<double> thread_counts;
  std::vector<std::string> weights = {"f32"};
  int64_t repetitions = 0;
  double seconds_per_row = 3;
  int64_t seed = 0;
  bool csv = false;
  bool end_to_end = false;
  int64_t layers = 0;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("model", model, "take the FFN's shape from this checkpoint (no weights are read)");
    v.Field("shape", shape, "or a well-known one: t5-small, t5-base, t5-large, bert-base, ...");
    v.Field("experts", experts, "experts per FFN, instead of the shape's own");
    v.Field("expert-size", expert_size, "neurons per expert, instead of --experts");
    v.Field("tokens", tokens, "tokens per call");
    v.Field("ffn-ratio", ffn_ratios, "shares of the neurons to run");
    v.Field("thread-counts", thread_counts, "numbers of threads to try (default: all)");
    v.Field("weights", weights, "how weights are kept: f32, bf16, f16, int8");
    v.Field(
        "routing", routing,
        "uniform (tokens have nothing in common), skewed (as much as in a trained model), or an "
        "activation dump of the split checkpoint: its own routers on its own inputs");
    v.Field("repetitions", repetitions, "per row; 0: as many as fit in --seconds-per-row");
    v.Field("seconds-per-row", seconds_per_row, "time for each row");
    v.Field("seed", seed, "of weights and inputs");
    v.Field("end-to-end", end_to_end,
            "time whole models of the shape (t5-small, t5-base, t5-large): encoder 8 x 128 tokens "
            "and greedy decoding, dense against sparse");
    v.Field("layers", layers, "with --end-to-end: layers per stack, instead of the shape's own");
    v.Field("csv", csv, "comma-separated rows instead of a table");
  }
};

// Throws Error{kUsage} for options of the other half than the one that is asked for.
void CheckHalf(const BenchOptions& options);
// The value of a flag as a whole number. Error{kUsage} unless it is one, and positive.
int64_t WholeNumber(const char* option, double value);
std::vector<runtime::WeightFormat> WeightFormats(const BenchOptions& options);
std::vector<int> ThreadCounts(const BenchOptions& options);  // {0}, all, where none are given

std::string Milliseconds(const bench::Spread& spread);
Json SpreadToJson(const bench::Spread& spread);
// The rows of a report as lines of CSV, each spread in three columns.
std::string ToCsv(const Json& rows);

// Runs `moefy bench --end-to-end`.
Outcome BenchEndToEnd(const BenchOptions& options, Context& context);

}  // namespace moefy::apps
