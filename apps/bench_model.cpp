// moefy bench MODEL --end-to-end: a checkpoint, dense or split.
#include "ask/batches.h"
#include "base/table.h"
#include "bench.h"
#include "bench/model_benchmark.h"
#include "commit.h"
#include "model/family.h"
#include "model/input_check.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "moefy/text/tokenizer.h"
#include "runtime/packed_file.h"

namespace moefy::apps {
namespace {

using model::Architecture;

// The lines of --text in batches by length, as an encoder reads them.
std::vector<model::ForwardInputs> LinesOf(const BenchOptions& options,
                                          const io::Checkpoint& weights,
                                          const model::ModelConfig& config) {
  if (options.batch != 0 || options.prompt_tokens != 0) {
    throw UsageError(
        "--batch and --prompt-tokens do not go with the --text of an encoder, whose "
        "lines are as long as they are");
  }
  const auto tokenizer = text::LoadTokenizer(weights);
  const std::vector<text::Encoding> encodings = ask::EncodeTextFile(
      options.text, "text", *tokenizer, config, model::FitTextLength(0, config), /*limit=*/0);
  std::vector<model::ForwardInputs> inputs;
  for (ask::Batch& batch : ask::MakeBatches(encodings, config, tokenizer->pad_id())) {
    inputs.push_back(std::move(batch.inputs));
  }
  return inputs;
}

// The first tokens of --text, for prompts.
std::vector<int64_t> PromptsOf(const BenchOptions& options, const io::Checkpoint& weights,
                               const model::ModelConfig& config, int64_t batch, int64_t tokens) {
  const auto tokenizer = text::LoadTokenizer(weights);
  const auto wanted = static_cast<size_t>(batch * tokens);
  std::vector<int64_t> ids;
  for (const text::Encoding& line : ask::EncodeTextFile(options.text, "text", *tokenizer, config,
                                                        /*max_tokens=*/0, /*limit=*/0)) {
    ids.insert(ids.end(), line.ids.begin(), line.ids.end());
  }
  if (ids.size() < wanted) {
    throw InputError(options.text, " has ", ids.size(), " tokens; ", batch, " prompts of ", tokens,
                     " need ", wanted);
  }
  ids.resize(wanted);
  return ids;
}

Json ToJson(const bench::ModelBenchmarkRow& row, const std::string& cpu) {
  // Absent ones too, so that all rows have the same columns.
  const auto spread = [](const std::optional<bench::Spread>& of) {
    return of ? SpreadToJson(*of) : Json{{"median", nullptr}, {"low", nullptr}, {"high", nullptr}};
  };
  return {{"phase", row.phase},
          {"engine", bench::EngineName(row.engine)},
          {"weights", runtime::WeightFormatName(row.weights)},
          {"asked_ffn_ratio", row.asked_ffn_ratio},
          {"ffn_ratio", row.ffn_ratio},
          {"threads", row.threads},
          {"ms", SpreadToJson(row.ms)},
          {"tokens_per_second", row.tokens_per_second},
          {"ffn_ms", SpreadToJson(row.ffn_ms)},
          {"bytes", row.bytes},
          {"flops", row.flops},
          {"roofline_ms", row.roofline_ms},
          {"share_of_roofline", row.roofline_ms / row.ms.median},
          {"load_seconds", row.load_seconds},
          {"own_bytes", row.own_bytes},
          {"mapped_bytes", row.mapped_bytes},
          {"speedup_over_torch", spread(row.speedup_over_torch)},
          {"speedup_over_dense", spread(row.speedup_over_dense)},
          {"output_error", row.output_error ? Json(*row.output_error) : Json()},
          {"commit", Commit()},
          {"cpu", cpu}};
}

std::string Times(const std::optional<bench::Spread>& speedup) {
  return speedup ? FormatFixed(speedup->median, 2) + "x" : "";
}

std::string Describe(const std::string& name, const bench::ModelBenchmarkResult& result) {
  std::vector<std::vector<std::string>> cells;
  for (const bench::ModelBenchmarkRow& row : result.rows) {
    cells.push_back(
        {row.phase, bench::EngineName(row.engine), FormatFixed(100 * row.ffn_ratio, 0) + " %",
         runtime::WeightFormatName(row.weights), std::to_string(row.threads), Milliseconds(row.ms),
         FormatFixed(row.ms.low, 1) + "-" + FormatFixed(row.ms.high, 1),
         FormatFixed(row.tokens_per_second, 0),
         row.ffn_ms.median > 0 ? Milliseconds(row.ffn_ms) : "", Times(row.speedup_over_torch),
         Times(row.speedup_over_dense), FormatBytes(static_cast<uint64_t>(row.bytes)),
         FormatFixed(row.flops / 1e9, 2),
         FormatFixed(100 * row.roofline_ms / row.ms.median, 0) + " %",
         FormatBytes(static_cast<uint64_t>(row.own_bytes)),
         row.output_error ? FormatFixed(100 * *row.output_error, 3) : ""});
  }
  return StrCat(name, ", ", result.texts, " texts, ", result.tokens, " tokens",
                result.new_tokens > 0 ? StrCat(", ", result.new_tokens, " new tokens each") : "",
                "\n", result.cpu, ", kernels ", result.instruction_set, "; reads ",
                FormatFixed(result.bandwidth_gigabytes, 1), " GB/s, multiplies ",
                FormatFixed(result.peak_gflops, 0), " GFLOP/s; peak memory ",
                FormatBytes(static_cast<uint64_t>(result.peak_memory_bytes)), "; medians\n\n",
                FormatTable({"phase", "engine", "of FFNs", "weights", "threads", "ms", "quartiles",
                             "tokens/s", "of it FFNs", "to torch", "to dense", "bytes read",
                             "GFLOP", "of roofline", "memory", "output error %"},
                            cells, 4));
}

}  // namespace

Outcome BenchModel(const BenchOptions& options, Context& context) {
  const io::Checkpoint weights = model::OpenCheckpoint(options.model);
  const model::ModelConfig config = model::ReadModelConfig(weights, &context.warnings);
  std::optional<split::MoeCheckpoint> moe;
  if (split::MoeCheckpoint::IsMoe(options.model)) {
    moe.emplace(split::MoeCheckpoint::Open(weights, config));
  } else if (options.ffn_ratios || !options.selection.empty()) {
    throw UsageError(options.ffn_ratios ? "--ffn-ratio" : "--selection",
                     " needs a split checkpoint; ", options.model, " is dense");
  }
  const bool encoder = config.architecture == Architecture::kEncoder;
  if (encoder && options.new_tokens != 0) {
    throw UsageError("--new-tokens needs a model that generates; ", options.model,
                     " is an encoder");
  }
  bench::ModelBenchmarkOptions benchmark;
  benchmark.checkpoint = &weights;
  if (moe) {
    benchmark.moe = &*moe;
    benchmark.selection =
        route::ParseSelection(options.selection.empty() ? "stored" : options.selection);
  }
  benchmark.ffn_ratios = FfnRatios(options);
  benchmark.weights = WeightFormats(options, runtime::WantedFormat("", weights));
  benchmark.baseline = options.baseline;
  benchmark.batch = options.batch != 0 ? options.batch : encoder ? 8 : 1;
  if (options.prompt_tokens != 0) benchmark.prompt_tokens = options.prompt_tokens;
  if (options.new_tokens != 0) benchmark.new_tokens = options.new_tokens;
  if (options.repetitions != 0) benchmark.repetitions = options.repetitions;
  benchmark.threads = ThreadCounts(options, context);
  benchmark.seed = static_cast<uint64_t>(options.seed);
  if (!options.text.empty()) {
    if (encoder) {
      benchmark.inputs = LinesOf(options, weights, config);
    } else {
      benchmark.prompts =
          PromptsOf(options, weights, config, benchmark.batch, benchmark.prompt_tokens);
    }
  }
  const bench::ModelBenchmarkResult result = bench::RunModelBenchmark(benchmark, *context.progress);
  Json rows = Json::array();
  for (const bench::ModelBenchmarkRow& row : result.rows) rows.push_back(ToJson(row, result.cpu));
  Outcome outcome;
  outcome.json = {{"model", options.model},
                  {"cpu", result.cpu},
                  {"instruction_set", result.instruction_set},
                  {"bandwidth_gigabytes", result.bandwidth_gigabytes},
                  {"peak_gflops", result.peak_gflops},
                  {"peak_memory_bytes", result.peak_memory_bytes},
                  {"texts", result.texts},
                  {"tokens", result.tokens},
                  {"new_tokens", result.new_tokens},
                  {"rows", rows}};
  outcome.text = options.csv ? ToCsv(rows) : Describe(options.model, result);
  return outcome;
}

}  // namespace moefy::apps
