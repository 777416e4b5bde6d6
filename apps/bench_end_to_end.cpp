// moefy bench --shape SHAPE --end-to-end: whole models of random weights.
#include "base/table.h"
#include "bench.h"
#include "bench/end_to_end.h"
#include "bench/machine.h"
#include "commit.h"

namespace moefy::apps {

Outcome BenchEndToEnd(const BenchOptions& options, Context& context) {
  bench::EndToEndOptions end_to_end;
  end_to_end.shape = options.shape;
  end_to_end.layers = options.layers;
  end_to_end.ffn_ratios = FfnRatios(options);
  end_to_end.weights = WeightFormats(options);
  if (options.repetitions > 0) end_to_end.repetitions = options.repetitions;
  end_to_end.threads = ThreadCounts(options, context);
  if (options.batch != 0) end_to_end.batch = options.batch;
  if (options.prompt_tokens != 0) end_to_end.tokens = options.prompt_tokens;
  if (options.new_tokens != 0) end_to_end.decoded_tokens = options.new_tokens;
  end_to_end.seed = static_cast<uint64_t>(options.seed);
  const bench::EndToEndResult result = bench::RunEndToEnd(end_to_end, *context.progress);
  Outcome outcome;
  Json rows = Json::array();
  std::vector<std::vector<std::string>> cells;
  for (const bench::EndToEndRow& row : result.rows) {
    rows.push_back({{"what", row.what},
                    {"weights", runtime::WeightFormatName(row.weights)},
                    {"ffn_ratio", row.ffn_ratio},
                    {"threads", row.threads},
                    {"dense_ms", SpreadToJson(row.dense_ms)},
                    {"sparse_ms", SpreadToJson(row.sparse_ms)},
                    {"ffn_ms", SpreadToJson(row.ffn_ms)},
                    {"speedup", SpreadToJson(row.speedup)},
                    {"expert_bytes", row.expert_bytes},
                    {"bytes", row.bytes},
                    {"flops", row.flops},
                    {"roofline_ms", row.roofline_ms},
                    {"share_of_roofline", row.roofline_ms / row.sparse_ms.median},
                    {"weight_bytes", row.weight_bytes},
                    {"logits_error", row.logits_error},
                    {"commit", Commit()},
                    {"cpu", result.cpu}});
    cells.push_back({row.what, FormatFixed(100 * row.ffn_ratio, 0) + " %",
                     std::to_string(row.threads), runtime::WeightFormatName(row.weights),
                     Milliseconds(row.dense_ms), Milliseconds(row.sparse_ms),
                     Milliseconds(row.ffn_ms), FormatFixed(row.speedup.median, 2) + "x",
                     FormatFixed(row.speedup.low, 2) + "-" + FormatFixed(row.speedup.high, 2),
                     FormatBytes(static_cast<uint64_t>(row.bytes)), FormatFixed(row.flops / 1e9, 1),
                     FormatFixed(100 * row.roofline_ms / row.sparse_ms.median, 0) + " %",
                     FormatBytes(static_cast<uint64_t>(row.weight_bytes)),
                     FormatFixed(100 * row.logits_error, 3)});
  }
  outcome.json = {{"shape", options.shape},
                  {"cpu", result.cpu},
                  {"instruction_set", result.instruction_set},
                  {"bandwidth_gigabytes", result.bandwidth_gigabytes},
                  {"peak_gflops", result.peak_gflops},
                  {"dense_weight_bytes", result.dense_weight_bytes},
                  {"peak_memory_bytes", bench::PeakMemoryBytes()},
                  {"rows", rows}};
  outcome.text =
      options.csv
          ? ToCsv(rows)
          : StrCat(options.shape, ", dense ",
                   FormatBytes(static_cast<uint64_t>(result.dense_weight_bytes)), " F32; ",
                   result.cpu, ", kernels ", result.instruction_set, "; reads ",
                   FormatFixed(result.bandwidth_gigabytes, 1), " GB/s, multiplies ",
                   FormatFixed(result.peak_gflops, 0), " GFLOP/s\n\n",
                   FormatTable({"", "ffn ratio", "threads", "weights", "dense ms", "sparse ms",
                                "of it FFNs", "speed-up", "range", "bytes read", "GFLOP",
                                "of roofline", "memory", "logits error %"},
                               cells, 1));
  return outcome;
}

}  // namespace moefy::apps
