// The options of `moefy bench`, and what its two kinds share: one FFN (cmd_bench.cpp) and whole
// checkpoints (bench_model.cpp).
#pragma once

#include <cstdint>
#include <optional>
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
  std::optional<std::vector<double>> ffn_ratios;
  std::vector<double> thread_counts;
  std::vector<std::string> weights;
  int64_t repetitions = 0;
  double seconds_per_row = 3;
  int64_t seed = 0;
  bool csv = false;
  bool end_to_end = false;
  std::string selection;
  bool baseline = false;
  int64_t batch = 0;
  int64_t prompt_tokens = 0;
  int64_t new_tokens = 0;
  std::string text;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("model", model,
               "take the FFN's shape from this checkpoint (no weights are read); with --end-to-end "
               "run it, dense or split");
    v.Field("shape", shape, "or a well-known one: t5-small, t5-base, t5-large, bert-base, ...");
    v.Field("experts", experts, "experts per FFN, instead of the shape's own");
    v.Field("expert-size", expert_size, "neurons per expert, instead of --experts");
    v.Field("tokens", tokens, "tokens per call");
    v.Field("ffn-ratio", ffn_ratios, "shares of the neurons to run (default: 0.2)");
    v.Field("thread-counts", thread_counts, "numbers of threads to try (default: all)");
    v.Field(
        "weights", weights,
        "how weights are kept: f32, bf16, f16, int8, int4 (default: f32, or as a packed checkpoint "
        "holds them)");
    v.Field(
        "routing", routing,
        "uniform (tokens have nothing in common), skewed (as much as in a trained model), or an "
        "activation dump of the split checkpoint: its own routers on its own inputs");
    v.Field("repetitions", repetitions, "per row; 0: as many as fit in --seconds-per-row");
    v.Field("seconds-per-row", seconds_per_row, "time for each row");
    v.Field("seed", seed, "of weights and inputs");
    v.Field("end-to-end", end_to_end,
            "time the whole checkpoint: an encoder's pass, a prompt, decoding");
    v.Field("selection", selection,
            "with --end-to-end and a split checkpoint: how experts are chosen, as of moefy run "
            "(default: stored)");
    v.Field("baseline", baseline,
            "with --end-to-end: the dense model besides, through LibTorch and in each of "
            "--weights");
    v.Field("batch", batch, "with --end-to-end: texts at once (default: 8 of encoders, else 1)");
    v.Field("prompt-tokens", prompt_tokens,
            "with --end-to-end: tokens per text that an encoder reads or a decoder goes on with "
            "(default: 128)");
    v.Field("new-tokens", new_tokens,
            "with --end-to-end: tokens to generate per text (default: 32)");
    v.Field("text", text,
            "with --end-to-end: a file to read instead of random tokens; encoders read its lines "
            "in batches by length, other models go on with its first tokens");
    v.Field("csv", csv, "comma-separated rows instead of a table");
  }
};

// Throws Error{kUsage} for options of another kind of benchmark than the one that is asked for.
void CheckKind(const BenchOptions& options);
// The value of a flag as a whole number. Error{kUsage} unless it is one, and positive.
int64_t WholeNumber(const char* option, double value);
// --weights, or the one format to take where none are given.
std::vector<runtime::WeightFormat> WeightFormats(
    const BenchOptions& options, runtime::WeightFormat unless_given = runtime::WeightFormat::kF32);
// --thread-counts, or --threads where none are given.
std::vector<int> ThreadCounts(const BenchOptions& options, const Context& context);
std::vector<double> FfnRatios(const BenchOptions& options);

std::string Milliseconds(const bench::Spread& spread);
Json SpreadToJson(const bench::Spread& spread);
// The rows of a report as lines of CSV, each spread in three columns.
std::string ToCsv(const Json& rows);

// `moefy bench MODEL --end-to-end`.
Outcome BenchModel(const BenchOptions& options, Context& context);

}  // namespace moefy::apps
