// moefy bench: LibTorch's dense FFN against the sparse one. Whole models are in bench_model.cpp.
#include <optional>

#include "base/table.h"
#include "bench.h"
#include "commit.h"
#include "model/activation.h"
#include "moefy/base/error.h"
#include "pipeline/inspect.h"
#include "record/activation_dump.h"
#include "split/moe_checkpoint.h"
#include "split/splitter.h"

namespace moefy::apps {
namespace {

bench::BenchmarkShape ChooseShape(const BenchOptions& options) {
  bench::BenchmarkShape shape;
  if (options.model.empty()) {
    shape = bench::GetBenchmarkShape(options.shape);
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

std::string Describe(const bench::BenchmarkResult& result) {
  const bench::BenchmarkShape& shape = result.shape;
  std::string out =
      StrCat("one FFN ", shape.hidden, " -> ", shape.num_neurons, " -> ", shape.hidden, ", ",
             model::ActivationName(shape.activation), shape.gated ? ", gated" : "", ", ",
             shape.num_experts, " experts\n", result.cpu, ", kernels ", result.instruction_set,
             "; reads ", FormatFixed(result.bandwidth_gigabytes, 1), " GB/s, multiplies ",
             FormatFixed(result.peak_gflops, 0), " GFLOP/s\n", "weights of ", result.num_layers,
             " layers take turns (",
             FormatBytes(static_cast<uint64_t>(result.num_layers * result.dense_layer_bytes)),
             ", last-level cache ",
             FormatBytes(static_cast<uint64_t>(result.last_level_cache_bytes)), "); medians\n\n");
  std::vector<std::vector<std::string>> rows;
  for (const bench::BenchmarkRow& row : result.rows) {
    const double share = row.sparse_ms.median > 0 ? row.roofline_ms / row.sparse_ms.median : 0;
    rows.push_back(
        {std::to_string(row.tokens), FormatFixed(100 * row.ffn_ratio, 1) + " %",
         std::to_string(row.threads), runtime::WeightFormatName(row.weights),
         Milliseconds(row.dense_ms), Milliseconds(row.sparse_ms), Milliseconds(row.router_ms),
         FormatFixed(row.speedup.median, 2) + (row.dense_fallback ? "x dense" : "x"),
         FormatFixed(row.speedup.low, 2) + "-" + FormatFixed(row.speedup.high, 2),
         FormatFixed(row.expert_loads, 0), FormatBytes(static_cast<uint64_t>(row.sparse_bytes)),
         FormatFixed(row.sparse_gflops, 0), FormatFixed(row.sparse_gigabytes, 1),
         FormatFixed(100 * share, 0) + " %", std::to_string(row.repetitions)});
  }
  return out + FormatTable({"tokens", "ffn ratio", "threads", "weights", "dense ms", "sparse ms",
                            "of it router", "speed-up", "quartiles", "experts", "bytes read",
                            "GFLOP/s", "GB/s", "of roofline", "runs"},
                           rows, 0);
}

Json ToJson(const bench::BenchmarkResult& result) {
  Json rows = Json::array();
  for (const bench::BenchmarkRow& row : result.rows) {
    rows.push_back({{"tokens", row.tokens},
                    {"ffn_ratio", row.ffn_ratio},
                    {"experts_per_token", row.num_selected},
                    {"threads", row.threads},
                    {"weights", runtime::WeightFormatName(row.weights)},
                    {"ran_densely", row.dense_fallback},
                    {"repetitions", row.repetitions},
                    {"dense_ms", SpreadToJson(row.dense_ms)},
                    {"sparse_ms", SpreadToJson(row.sparse_ms)},
                    {"router_ms", SpreadToJson(row.router_ms)},
                    {"kernel_ms", SpreadToJson(row.kernel_ms)},
                    {"speedup", SpreadToJson(row.speedup)},
                    {"expert_loads", row.expert_loads},
                    {"sparse_bytes", row.sparse_bytes},
                    {"sparse_flops", row.sparse_flops},
                    {"sparse_gflops", row.sparse_gflops},
                    {"sparse_gigabytes", row.sparse_gigabytes},
                    {"dense_gflops", row.dense_gflops},
                    {"dense_gigabytes", row.dense_gigabytes},
                    {"packed_layer_bytes", row.packed_layer_bytes},
                    {"roofline_ms", row.roofline_ms},
                    {"share_of_roofline", row.roofline_ms / row.sparse_ms.median},
                    {"commit", Commit()},
                    {"cpu", result.cpu}});
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
  if (options.model.empty() == options.shape.empty()) {
    throw UsageError("bench needs either a checkpoint or --shape, e.g. --shape t5-large");
  }
  CheckKind(options);
  if (options.end_to_end) return BenchModel(options, context);
  bench::BenchmarkOptions benchmark;
  benchmark.shape = ChooseShape(options);
  benchmark.tokens.clear();
  for (const double tokens : options.tokens) {
    benchmark.tokens.push_back(WholeNumber("tokens", tokens));
  }
  benchmark.threads = ThreadCounts(options, context);
  benchmark.ffn_ratios = FfnRatios(options);
  benchmark.weights = WeightFormats(options);
  std::optional<split::MoeCheckpoint> moe;
  std::optional<record::ActivationDump> dump;
  if (options.routing == "skewed") {
    benchmark.routing = bench::Routing::kSkewed;
  } else if (options.routing != "uniform") {
    if (options.model.empty() || !split::MoeCheckpoint::IsMoe(options.model)) {
      throw UsageError("--routing ", options.routing,
                       ": a dump needs a split checkpoint to go with it; otherwise uniform or "
                       "skewed");
    }
    benchmark.routing = bench::Routing::kRecorded;
    moe.emplace(split::MoeCheckpoint::Open(options.model));
    dump.emplace(record::ActivationDump::Open(options.routing));
    benchmark.moe = &*moe;
    benchmark.dump = &*dump;
  }
  benchmark.repetitions = options.repetitions;
  benchmark.seconds_per_row = options.seconds_per_row;
  benchmark.seed = static_cast<uint64_t>(options.seed);
  const bench::BenchmarkResult result = bench::RunBenchmark(benchmark, *context.progress);
  Outcome outcome;
  outcome.json = ToJson(result);
  outcome.text = options.csv ? ToCsv(outcome.json["rows"]) : Describe(result);
  return outcome;
}

}  // namespace

std::unique_ptr<Command> BenchCommand(CLI::App& parent) {
  return MakeCommand<BenchOptions>(
      parent, "bench", "Time the sparse FFN against LibTorch's dense one, or a whole model.",
      "  moefy bench --shape t5-large --tokens 1,8,32,128,512 --ffn-ratio 0.2\n"
      "  moefy bench MOE --end-to-end --ffn-ratio 0.25,0.5 --weights f32,int8 --baseline\n"
      "  moefy bench CKPT --expert-size 32 --ffn-ratio 0.1,0.3 --json",
      RunBench);
}

}  // namespace moefy::apps
