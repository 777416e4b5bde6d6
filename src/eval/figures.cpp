#include "eval/figures.h"

#include <utility>

#include "moefy/base/strings.h"

namespace moefy::eval {
namespace {

template <auto EvaluationRow::*field>
task::Estimate Read(const EvaluationRow& row) {
  return {static_cast<double>(row.*field), {}, 1};
}

task::Estimate ReadKl(const EvaluationRow& row) { return row.kl_from_dense; }

}  // namespace

const std::vector<Figure>& RowFigures() {
  using enum FigureUnit;
  using Row = EvaluationRow;
  static const std::vector<Figure> kFigures = {
      {"agreement_with_dense", kShare, Read<&Row::agreement_with_dense>, "agree", true},
      {"kl_from_dense", kNats, ReadKl, "KL", true},
      {"measured_ffn_ratio", kShare, Read<&Row::measured_ffn_ratio>, "neurons run"},
      {"ffn_flops_ratio_with_router", kShare, Read<&Row::ffn_flops_ratio_with_router>,
       "FLOPs+router", false, true},
      {"seconds", kSeconds, Read<&Row::seconds>},
      {"ffn_seconds", kSeconds, Read<&Row::ffn_seconds>, "FFN time", false, true},
      {"ffn_tokens", kCount, Read<&Row::ffn_tokens>},
      {"expert_weight_bytes_read", kCount, Read<&Row::expert_weight_bytes_read>},
  };
  return kFigures;
}

std::string ShowFigure(const Figure& figure, const EvaluationRow& row) {
  const task::Estimate estimate = figure.read(row);
  switch (figure.unit) {
    case FigureUnit::kShare:
      return FormatFixed(100 * estimate.value, 1) + " %";
    case FigureUnit::kNats:
      return estimate.count == 0 ? "-" : FormatFixed(estimate.value, 4);
    case FigureUnit::kSeconds:
      return FormatDuration(estimate.value);
    case FigureUnit::kCount:
      break;
  }
  return FormatCount(static_cast<uint64_t>(estimate.value));
}

std::vector<std::string> FigureNames(const task::TaskSpec& spec) {
  std::vector<std::string> names = task::MetricNames(spec);
  names.insert(names.end(), {"metric", "ffn_ratio"});
  const bool answers_are_texts =
      spec.kind == task::TaskKind::kExtractiveQa || spec.kind == task::TaskKind::kGeneration;
  for (const Figure& figure : RowFigures()) {
    // Texts have no distributions to compare.
    if (figure.unit == FigureUnit::kNats && answers_are_texts) continue;
    names.emplace_back(figure.name);
  }
  return names;
}

Figures FiguresOf(const EvaluationRow& row) {
  Figures figures = {{"metric", row.metric().value.value}, {"ffn_ratio", row.ffn_ratio}};
  for (const Figure& figure : RowFigures()) figures[figure.name] = figure.read(row).value;
  for (const MetricValue& metric : row.metrics) figures[metric.name] = metric.value.value;
  return figures;
}

const char* NewNameOf(const std::string& name) {
  constexpr std::pair<const char*, const char*> kRenamed[] = {
      {"agreement", "agreement_with_dense"},
      {"kl", "kl_from_dense"},
      {"ffn_flops_ratio", "ffn_flops_ratio_with_router"}};
  for (const auto& [before, now] : kRenamed) {
    if (name == before) return now;
  }
  return nullptr;
}

}  // namespace moefy::eval
