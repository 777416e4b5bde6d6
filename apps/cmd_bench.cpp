// moefy bench: LibTorch's dense FFN against the sparse one.
#include "command.h"
#include "moefy/base/error.h"
#include "moefy/eval/benchmark.h"
#include "moefy/eval/report.h"
#include "moefy/model/family.h"
#include "moefy/pipeline/inspect.h"
#include "moefy/split/splitter.h"

namespace moefy::apps {
namespace {

struct BenchOptions {
  std::string model;
  std::string shape;
  int64_t experts = 0;
  int64_t expert_size = 0;
  std::vector<double> tokens = {1, 8, 32, 128, 512};
  std::vector<double> ffn_ratios = {0.2};
  std::vector<double> thread_counts;
  int64_t repetitions = 0;
  double seconds_per_row = 3;
  int64_t seed = 0;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("model", model, "take the FFN's shape from this checkpoint (no weights are read)");
    v.Field("shape", shape, "or a well-known one: t5-small, t5-base, t5-large, bert-base, ...");
    v.Field("experts", experts, "experts per FFN, instead of the shape's own");
    v.Field("expert-size", expert_size, "neurons per expert, instead of --experts");
    v.Field("tokens", tokens, "tokens per call");
    v.Field("ffn-ratio", ffn_ratios, "shares of the neurons to run");
    v.Field("thread-counts", thread_counts, "numbers of threads to try (default: all)");
    v.Field("repetitions", repetitions, "per row; 0: as many as fit in --seconds-per-row");
    v.Field("seconds-per-row", seconds_per_row, "time for each row");
    v.Field("seed", seed, "of weights and inputs");
  }
};

int64_t WholeNumber(const char* option, double value) {
  if (value < 1 || value > 1 << 24 || value != static_cast<double>(static_cast<int64_t>(value))) {
    throw UsageError("--", option, " is ", value, "; expected whole numbers from 1");
  }
  return static_cast<int64_t>(value);
}

eval::BenchmarkShape ChooseShape(const BenchOptions& options) {
  if (options.model.empty() == options.shape.empty()) {
    throw UsageError("bench needs either a checkpoint or --shape, e.g. --shape t5-large");
  }
  eval::BenchmarkShape shape;
  if (options.model.empty()) {
    shape = eval::GetBenchmarkShape(options.shape);
  } else {
    const pipeline::Inspection inspection = pipeline::Inspect(options.model);
    const model::ModelConfig& config = inspection.config;
    shape = {options.model,          config.hidden,     config.last_stack().num_neurons,
             inspection.num_experts, config.activation, config.gated,
             config.ffn_bias};
    if (shape.num_experts == 0 && options.experts == 0 && options.expert_size == 0) {
      throw UsageError(options.model, " is not split; give --experts or --expert-size");
    }
  }
  if (options.experts > 0 || options.expert_size > 0) {
    shape.num_experts =
        split::ResolveNumExperts(shape.num_neurons, options.experts, options.expert_size);
  }
  return shape;
}

std::string Milliseconds(const eval::Spread& spread) {
  return FormatFixed(spread.median, spread.median < 10 ? 3 : 1);
}

std::string Describe(const eval::BenchmarkResult& result) {
  const eval::BenchmarkShape& shape = result.shape;
  std::string out =
      StrCat("one FFN ", shape.hidden, " -> ", shape.num_neurons, " -> ", shape.hidden, ", ",
             model::ActivationName(shape.activation), shape.gated ? ", gated" : "", ", ",
             shape.num_experts, " experts, F32\n", result.cpu, ", kernels ", result.instruction_set,
             "; reads ", FormatFixed(result.bandwidth_gigabytes, 1), " GB/s, multiplies ",
             FormatFixed(result.peak_gflops, 0), " GFLOP/s\n", "weights of ", result.num_layers,
             " layers take turns (",
             FormatBytes(static_cast<uint64_t>(result.num_layers * result.dense_layer_bytes)),
             ", last-level cache ",
             FormatBytes(static_cast<uint64_t>(result.last_level_cache_bytes)), "); medians\n\n");
  std::vector<std::vector<std::string>> rows;
  for (const eval::BenchmarkRow& row : result.rows) {
    const double share = row.sparse_ms.median > 0 ? row.roofline_ms / row.sparse_ms.median : 0;
    rows.push_back({std::to_string(row.tokens), FormatFixed(100 * row.ffn_ratio, 1) + " %",
                    std::to_string(row.threads), Milliseconds(row.dense_ms),
                    Milliseconds(row.sparse_ms), Milliseconds(row.router_ms),
                    FormatFixed(row.speedup.median, 2) + "x",
                    FormatFixed(row.speedup.low, 2) + "-" + FormatFixed(row.speedup.high, 2),
                    FormatBytes(static_cast<uint64_t>(row.sparse_bytes)),
                    FormatFixed(row.sparse_gflops, 0), FormatFixed(row.sparse_gigabytes, 1),
                    FormatFixed(100 * share, 0) + " %", std::to_string(row.repetitions)});
  }
  return out + eval::FormatTable({"tokens", "ffn ratio", "threads", "dense ms", "sparse ms",
                                  "of it router", "speed-up", "quartiles", "bytes read", "GFLOP/s",
                                  "GB/s", "of roofline", "runs"},
                                 rows, 0);
}

Json ToJson(const eval::BenchmarkResult& result) {
  const auto spread = [](const eval::Spread& s) {
    return Json{{"median", s.median}, {"low", s.low}, {"high", s.high}};
  };
  Json rows = Json::array();
  for (const eval::BenchmarkRow& row : result.rows) {
    rows.push_back({{"tokens", row.tokens},
                    {"ffn_ratio", row.ffn_ratio},
                    {"experts_per_token", row.num_selected},
                    {"threads", row.threads},
                    {"repetitions", row.repetitions},
                    {"dense_ms", spread(row.dense_ms)},
                    {"sparse_ms", spread(row.sparse_ms)},
                    {"router_ms", spread(row.router_ms)},
                    {"kernel_ms", spread(row.kernel_ms)},
                    {"speedup", spread(row.speedup)},
                    {"expert_loads", row.expert_loads},
                    {"sparse_bytes", row.sparse_bytes},
                    {"sparse_flops", row.sparse_flops},
                    {"sparse_gflops", row.sparse_gflops},
                    {"sparse_gigabytes", row.sparse_gigabytes},
                    {"dense_gflops", row.dense_gflops},
                    {"dense_gigabytes", row.dense_gigabytes},
                    {"roofline_ms", row.roofline_ms}});
  }
  return {{"shape", result.shape.name},
          {"hidden", result.shape.hidden},
          {"neurons", result.shape.num_neurons},
          {"num_experts", result.shape.num_experts},
          {"cpu", result.cpu},
          {"instruction_set", result.instruction_set},
          {"last_level_cache_bytes", result.last_level_cache_bytes},
          {"layers", result.num_layers},
          {"bandwidth_gigabytes", result.bandwidth_gigabytes},
          {"peak_gflops", result.peak_gflops},
          {"rows", rows}};
}

Outcome RunBench(const BenchOptions& options, Context& context) {
  eval::BenchmarkOptions benchmark;
  benchmark.shape = ChooseShape(options);
  benchmark.tokens.clear();
  for (const double tokens : options.tokens) {
    benchmark.tokens.push_back(WholeNumber("tokens", tokens));
  }
  if (!options.thread_counts.empty()) benchmark.threads.clear();
  for (const double threads : options.thread_counts) {
    benchmark.threads.push_back(static_cast<int>(WholeNumber("thread-counts", threads)));
  }
  benchmark.ffn_ratios = options.ffn_ratios;
  benchmark.repetitions = options.repetitions;
  benchmark.seconds_per_row = options.seconds_per_row;
  benchmark.seed = static_cast<uint64_t>(options.seed);
  const eval::BenchmarkResult result = eval::RunBenchmark(benchmark, *context.progress);
  Outcome outcome;
  outcome.text = Describe(result);
  outcome.json = ToJson(result);
  return outcome;
}

}  // namespace

std::unique_ptr<Command> BenchCommand(CLI::App& parent) {
  return MakeCommand<BenchOptions>(
      parent, "bench", "Time the sparse FFN against LibTorch's dense one, on random weights.",
      "  moefy bench --shape t5-large --tokens 1,8,32,128,512 --ffn-ratio 0.2\n"
      "  moefy bench CKPT --expert-size 32 --ffn-ratio 0.1,0.3 --json",
      RunBench);
}

}  // namespace moefy::apps
