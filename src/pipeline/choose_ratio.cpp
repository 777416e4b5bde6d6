#include "pipeline/choose_ratio.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "ask/metric.h"
#include "base/output.h"
#include "moefy/base/error.h"

namespace moefy::pipeline {
namespace {

// How much worse a metric is than dense, as a share of dense's; below 0 if it is better.
double RelativeLoss(const eval::MetricValue& value, double dense, bool lower_is_better) {
  const double change = value.value.value - dense;
  if (!std::isfinite(change)) return std::numeric_limits<double>::infinity();
  return (lower_is_better ? change : -change) / std::max(std::abs(dense), 1e-12);
}

}  // namespace

double ParseMaxLoss(const std::string& text) {
  std::string_view digits = text;
  const bool percent = digits.ends_with('%');
  if (percent) digits.remove_suffix(1);
  while (digits.ends_with(' ')) digits.remove_suffix(1);
  double value = 0;
  const char* end = digits.data() + digits.size();
  const auto [read, code] = std::from_chars(digits.data(), end, value);
  if (percent) value /= 100;
  if (code != std::errc() || read != end || !(value >= 0 && value <= 1)) {
    throw UsageError("--max-loss is ", Quoted(text), "; expected a share like 0.5% or 0.005");
  }
  return value;
}

std::vector<RatioChoice> RatioChoices(const std::vector<eval::EvaluationReport>& reports) {
  std::map<std::tuple<std::string, std::string, double>, RatioChoice> choices;
  for (const eval::EvaluationReport& report : reports) {
    const double dense = report.rows.front().metric().value.value;
    const bool lower_is_better =
        ask::GetMetric(report.kind, report.metrics.front()).lower_is_better;
    for (const eval::EvaluationRow& row : report.rows) {
      if (row.model.empty() || row.is_bound) continue;
      const double loss = RelativeLoss(row.metric(), dense, lower_is_better);
      const auto [at, is_new] =
          choices.try_emplace({row.model, row.selection, row.ffn_ratio},
                              RatioChoice{row.model, row.selection, row.ffn_ratio,
                                          row.ffn_flops_ratio_with_router, loss});
      at->second.loss = std::max(at->second.loss, loss);
      at->second.flops_ratio = std::max(at->second.flops_ratio, row.ffn_flops_ratio_with_router);
    }
  }
  std::vector<RatioChoice> sorted;
  for (auto& [key, choice] : choices) sorted.push_back(std::move(choice));
  std::ranges::stable_sort(sorted, {}, &RatioChoice::loss);
  return sorted;
}

std::optional<RatioChoice> ChooseRatio(const std::vector<RatioChoice>& choices, double max_loss) {
  std::optional<RatioChoice> best;
  for (const RatioChoice& choice : choices) {
    if (choice.loss > max_loss) continue;
    if (!best || choice.flops_ratio < best->flops_ratio) best = choice;
  }
  return best;
}

Json ChoiceToJson(const RatioChoice& choice) {
  return {{"model", choice.model},
          {"selection", choice.selection},
          {"ffn_ratio", choice.ffn_ratio},
          {"ffn_flops_ratio_with_router", choice.flops_ratio},
          {"loss", choice.loss}};
}

RatioChoice ChoiceFromJson(const Json& json) {
  return {json.at("model"), json.at("selection"), json.at("ffn_ratio"),
          json.at("ffn_flops_ratio_with_router"), json.at("loss")};
}

std::optional<RatioChoice> WriteChoice(const std::vector<RatioChoice>& tried, double max_loss,
                                       const std::filesystem::path& file) {
  const std::optional<RatioChoice> choice = ChooseRatio(tried, max_loss);
  Json json = {{"max_loss", max_loss},
               {"choice", choice ? ChoiceToJson(*choice) : Json()},
               {"tried", Json::array()}};
  for (const RatioChoice& each : tried) json["tried"].push_back(ChoiceToJson(each));
  WriteTextFile(file, FormatJson(json), IfExists::kRenew);
  return choice;
}

std::vector<RatioChoice> ReadChoices(const std::filesystem::path& file) {
  try {
    std::vector<RatioChoice> choices;
    const Json json = ReadJsonFile(file);
    for (const Json& choice : json.at("tried")) choices.push_back(ChoiceFromJson(choice));
    return choices;
  } catch (const Json::exception& error) {
    throw InputError(file, ": expected the ratios that were tried: ", error.what());
  }
}

}  // namespace moefy::pipeline
