#include "bench.h"

#include <cmath>

#include "moefy/base/error.h"

namespace moefy::apps {

void CheckKind(const BenchOptions& options) {
  const BenchOptions defaults;
  struct {
    const char* name;
    bool end_to_end;  // what it belongs to
    bool given;
  } const fields[] = {
      {"--experts", false, options.experts != defaults.experts},
      {"--expert-size", false, options.expert_size != defaults.expert_size},
      {"--tokens", false, options.tokens != defaults.tokens},
      {"--routing", false, options.routing != defaults.routing},
      {"--seconds-per-row", false, options.seconds_per_row != defaults.seconds_per_row},
      {"--selection", true, options.selection != defaults.selection},
      {"--baseline", true, options.baseline != defaults.baseline},
      {"--text", true, options.text != defaults.text},
      {"--batch", true, options.batch != defaults.batch},
      {"--prompt-tokens", true, options.prompt_tokens != defaults.prompt_tokens},
      {"--new-tokens", true, options.new_tokens != defaults.new_tokens},
  };
  for (const auto& [name, end_to_end, given] : fields) {
    if (!given || end_to_end == options.end_to_end) continue;
    if (end_to_end) throw UsageError(name, " goes with --end-to-end and a checkpoint");
    throw UsageError(name, " does not go with --end-to-end, which times whole models: they choose ",
                     "experts as --selection says");
  }
  if (options.end_to_end && options.model.empty()) {
    throw UsageError(
        "--end-to-end times whole models, so it needs a checkpoint and not a --shape; ",
        "bench/make_checkpoint.py makes one of random weights");
  }
}

int64_t WholeNumber(const char* option, double value) {
  constexpr int64_t kMost = int64_t{1} << 24;
  if (!(value >= 1 && value <= kMost) ||
      value != static_cast<double>(static_cast<int64_t>(value))) {
    throw UsageError("--", option, " is ", FormatFixed(value, value == std::floor(value) ? 0 : 3),
                     "; expected whole numbers from 1 to ", kMost);
  }
  return static_cast<int64_t>(value);
}

std::vector<runtime::WeightFormat> WeightFormats(const BenchOptions& options,
                                                 runtime::WeightFormat unless_given) {
  if (options.weights.empty()) return {unless_given};
  std::vector<runtime::WeightFormat> formats;
  for (const std::string& name : options.weights) {
    formats.push_back(runtime::ParseWeightFormat(name));
  }
  return formats;
}

std::vector<double> FfnRatios(const BenchOptions& options) {
  return options.ffn_ratios.value_or(std::vector<double>{0.2});
}

std::vector<int> ThreadCounts(const BenchOptions& options, const Context& context) {
  if (options.thread_counts.empty()) return {static_cast<int>(context.common.threads)};
  std::vector<int> counts;
  for (const double threads : options.thread_counts) {
    counts.push_back(static_cast<int>(WholeNumber("thread-counts", threads)));
  }
  return counts;
}

std::string Milliseconds(const bench::Spread& spread) {
  return FormatFixed(spread.median, spread.median < 10 ? 3 : 1);
}

Json SpreadToJson(const bench::Spread& s) {
  return {{"median", s.median}, {"low", s.low}, {"high", s.high}};
}

std::string ToCsv(const Json& rows) {
  std::string out;
  for (const Json& row : rows) {
    std::vector<std::string> names, values;
    const auto add = [&](const std::string& name, const Json& value) {
      names.push_back(name);
      values.push_back(value.is_string() ? "\"" + value.get<std::string>() + "\""
                       : value.is_null() ? ""
                                         : value.dump());
    };
    for (const auto& [name, value] : row.items()) {
      if (!value.is_object()) {
        add(name, value);
        continue;
      }
      for (const auto& [part, number] : value.items()) add(name + "_" + part, number);
    }
    if (out.empty()) out = Join(names, ",") + "\n";
    out += Join(values, ",") + "\n";
  }
  return out;
}

}  // namespace moefy::apps
