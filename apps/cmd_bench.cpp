// moefy bench: LibTorch's dense FFN against the sparse one.
#include <optional>

#include "command.h"
#include "moefy/base/error.h"
#include "moefy/eval/benchmark.h"
#include "moefy/eval/end_to_end.h"
#include "moefy/eval/machine.h"
#include "moefy/eval/report.h"
#include "moefy/model/family.h"
#include "moefy/pipeline/inspect.h"
#include "moefy/record/activation_dump.h"
#include "moefy/split/moe_checkpoint.h"
#include "moefy/split/splitter.h"

namespace moefy::apps {
namespace {

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
             shape.num_experts, " experts\n", result.cpu, ", kernels ", result.instruction_set,
             "; reads ", FormatFixed(result.bandwidth_gigabytes, 1), " GB/s, multiplies ",
             FormatFixed(result.peak_gflops, 0), " GFLOP/s\n", "weights of ", result.num_layers,
             " layers take turns (",
             FormatBytes(static_cast<uint64_t>(result.num_layers * result.dense_layer_bytes)),
             ", last-level cache ",
             FormatBytes(static_cast<uint64_t>(result.last_level_cache_bytes)), "); medians\n\n");
  std::vector<std::vector<std::string>> rows;
  for (const eval::BenchmarkRow& row : result.rows) {
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
  return out + eval::FormatTable({"tokens", "ffn ratio", "threads", "weights", "dense ms",
                                  "sparse ms", "of it router", "speed-up", "quartiles", "experts",
                                  "bytes read", "GFLOP/s", "GB/s", "of roofline", "runs"},
                                 rows, 0);
}

Json SpreadToJson(const eval::Spread& s) {
  return {{"median", s.median}, {"low", s.low}, {"high", s.high}};
}

Json ToJson(const eval::BenchmarkResult& result) {
  Json rows = Json::array();
  for (const eval::BenchmarkRow& row : result.rows) {
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
                    {"commit", MOEFY_COMMIT},
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

// The rows of a report, a spread in three columns.
std::string ToCsv(const Json& rows) {
  std::string out;
  for (const Json& row : rows) {
    std::vector<std::string> names, values;
    const auto add = [&](const std::string& name, const Json& value) {
      names.push_back(name);
      values.push_back(value.is_string() ? "\"" + value.get<std::string>() + "\"" : value.dump());
    };
    for (const auto& [name, value] : row.items()) {
      if (!value.is_object()) add(name, value);
      for (const auto& [part, number] : (value.is_object() ? value : Json::object()).items()) {
        add(name + "_" + part, number);
      }
    }
    if (out.empty()) out = Join(names, ",") + "\n";
    out += Join(values, ",") + "\n";
  }
  return out;
}

Outcome RunEndToEnd(const BenchOptions& options, Context& context) {
  if (!options.model.empty()) throw UsageError("--end-to-end makes its own weights; give --shape");
  eval::EndToEndOptions end_to_end;
  end_to_end.shape = options.shape;
  end_to_end.layers = options.layers;
  if (options.ffn_ratios.size() != 1) throw UsageError("--end-to-end takes one --ffn-ratio");
  end_to_end.ffn_ratio = options.ffn_ratios.front();
  end_to_end.weights.clear();
  for (const std::string& name : options.weights) {
    end_to_end.weights.push_back(runtime::ParseWeightFormat(name));
  }
  if (options.repetitions > 0) end_to_end.repetitions = options.repetitions;
  if (options.thread_counts.size() > 1) throw UsageError("--end-to-end takes one --thread-counts");
  if (!options.thread_counts.empty()) {
    end_to_end.threads =
        static_cast<int>(WholeNumber("thread-counts", options.thread_counts.front()));
  }
  end_to_end.seed = static_cast<uint64_t>(options.seed);
  const eval::EndToEndResult result = eval::RunEndToEnd(end_to_end, *context.progress);
  Outcome outcome;
  Json rows = Json::array();
  std::vector<std::vector<std::string>> cells;
  for (size_t i = 0; i < result.rows.size(); ++i) {
    const eval::EndToEndRow& row = result.rows[i];
    const size_t format_idx = i / 2;
    const auto bytes = static_cast<uint64_t>(result.sparse_weight_bytes[format_idx]);
    rows.push_back({{"what", row.what},
                    {"weights", runtime::WeightFormatName(row.weights)},
                    {"threads", result.threads},
                    {"dense_ms", SpreadToJson(row.dense_ms)},
                    {"sparse_ms", SpreadToJson(row.sparse_ms)},
                    {"ffn_ms", SpreadToJson(row.ffn_ms)},
                    {"speedup", SpreadToJson(row.speedup)},
                    {"expert_bytes", row.expert_bytes},
                    {"weight_bytes", bytes},
                    {"logits_error", result.logits_error[format_idx]},
                    {"commit", MOEFY_COMMIT},
                    {"cpu", result.cpu}});
    cells.push_back({row.what, runtime::WeightFormatName(row.weights), Milliseconds(row.dense_ms),
                     Milliseconds(row.sparse_ms), Milliseconds(row.ffn_ms),
                     FormatFixed(row.speedup.median, 2) + "x",
                     FormatFixed(row.speedup.low, 2) + "-" + FormatFixed(row.speedup.high, 2),
                     FormatBytes(bytes), FormatFixed(100 * result.logits_error[format_idx], 3)});
  }
  outcome.json = {{"shape", options.shape},
                  {"cpu", result.cpu},
                  {"instruction_set", result.instruction_set},
                  {"ffn_ratio", result.ffn_ratio},
                  {"dense_weight_bytes", result.dense_weight_bytes},
                  {"peak_memory_bytes", eval::PeakMemoryBytes()},
                  {"rows", rows}};
  outcome.text =
      options.csv
          ? ToCsv(rows)
          : StrCat(options.shape, ", dense ",
                   FormatBytes(static_cast<uint64_t>(result.dense_weight_bytes)), " F32, ",
                   FormatFixed(100 * result.ffn_ratio, 0), " % of each FFN; ", result.cpu,
                   ", kernels ", result.instruction_set, ", ", result.threads, " threads\n\n",
                   eval::FormatTable({"", "weights", "dense ms", "sparse ms", "of it FFNs",
                                      "speed-up", "range", "memory", "logits error %"},
                                     cells, 1));
  return outcome;
}

Outcome RunBench(const BenchOptions& options, Context& context) {
  if (options.end_to_end) return RunEndToEnd(options, context);
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
  benchmark.weights.clear();
  for (const std::string& name : options.weights) {
    benchmark.weights.push_back(runtime::ParseWeightFormat(name));
  }
  std::optional<split::MoeCheckpoint> moe;
  std::optional<record::ActivationDump> dump;
  if (options.routing == "skewed") {
    benchmark.routing = eval::Routing::kSkewed;
  } else if (options.routing != "uniform") {
    if (options.model.empty() || !split::MoeCheckpoint::IsMoe(options.model)) {
      throw UsageError("--routing ", options.routing,
                       ": a dump needs a split checkpoint to go with it; otherwise uniform or "
                       "skewed");
    }
    benchmark.routing = eval::Routing::kRecorded;
    moe.emplace(split::MoeCheckpoint::Open(options.model));
    dump.emplace(record::ActivationDump::Open(options.routing));
    benchmark.moe = &*moe;
    benchmark.dump = &*dump;
  }
  benchmark.repetitions = options.repetitions;
  benchmark.seconds_per_row = options.seconds_per_row;
  benchmark.seed = static_cast<uint64_t>(options.seed);
  const eval::BenchmarkResult result = eval::RunBenchmark(benchmark, *context.progress);
  Outcome outcome;
  outcome.json = ToJson(result);
  outcome.text = options.csv ? ToCsv(outcome.json["rows"]) : Describe(result);
  return outcome;
}

}  // namespace

std::unique_ptr<Command> BenchCommand(CLI::App& parent) {
  return MakeCommand<BenchOptions>(
      parent, "bench", "Time the sparse FFN against LibTorch's dense one, on random weights.",
      "  moefy bench --shape t5-large --tokens 1,8,32,128,512 --ffn-ratio 0.2\n"
      "  moefy bench --shape t5-large --end-to-end --ffn-ratio 0.25 --weights f32,int8\n"
      "  moefy bench CKPT --expert-size 32 --ffn-ratio 0.1,0.3 --json",
      RunBench);
}

}  // namespace moefy::apps
