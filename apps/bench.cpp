#include "bench.h"

#include <cmath>

#include "moefy/base/error.h"

namespace moefy::apps {

void CheckHalf(const BenchOptions& options) {
  const BenchOptions defaults;
  struct {
    const char* name;
    bool end_to_end;  // the half that it belongs to
    bool given;
  } const halves[] = {
      {"model", false, options.model != defaults.model},
      {"--experts", false, options.experts != defaults.experts},
      {"--expert-size", false, options.expert_size != defaults.expert_size},
      {"--tokens", false, options.tokens != defaults.tokens},
      {"--routing", false, options.routing != defaults.routing},
      {"--seconds-per-row", false, options.seconds_per_row != defaults.seconds_per_row},
      {"--layers", true, options.layers != defaults.layers},
  };
  for (const auto& [name, end_to_end, given] : halves) {
    if (!given || end_to_end == options.end_to_end) continue;
    throw UsageError(
        name, end_to_end ? " goes with --end-to-end"
                         : " does not go with --end-to-end, which times whole models of a --shape");
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

std::vector<runtime::WeightFormat> WeightFormats(const BenchOptions& options) {
  std::vector<runtime::WeightFormat> formats;
  for (const std::string& name : options.weights) {
    formats.push_back(runtime::ParseWeightFormat(name));
  }
  return formats;
}

std::vector<int> ThreadCounts(const BenchOptions& options) {
  if (options.thread_counts.empty()) return {0};
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

}  // namespace moefy::apps
