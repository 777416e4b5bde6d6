#include "eval/report.h"

#include "ask/metric.h"
#include "base/table.h"
#include "eval/figures.h"
#include "moefy/base/strings.h"

namespace moefy::eval {
namespace {

std::string Percent(double share, int decimals) { return FormatFixed(100 * share, decimals); }

std::string Signed(double value, int decimals) {
  return (value >= 0 ? "+" : "") + FormatFixed(value, decimals);
}

// Formats "81.25 ± 9.76"; a figure of one example has no error.
std::string WithError(const task::Estimate& estimate, double scale, int decimals) {
  const std::string value = FormatFixed(scale * estimate.value, decimals);
  if (!estimate.standard_error) return value;
  return value + " ± " + FormatFixed(scale * *estimate.standard_error, decimals);
}

// "-1.25 [-2.50, +0.00]"
std::string WithInterval(const task::Estimate& difference, double scale, int decimals) {
  const std::string value = Signed(scale * difference.value, decimals);
  const auto interval = Interval95(difference);
  if (!interval) return value;
  return StrCat(value, " [", Signed(scale * interval->first, decimals), ", ",
                Signed(scale * interval->second, decimals), "]");
}

Json EstimateToJson(const task::Estimate& estimate) {
  Json json = {{"value", estimate.value}, {"standard_error", nullptr}};
  if (estimate.standard_error) json["standard_error"] = *estimate.standard_error;
  return json;
}

void AddFigure(const Figure& figure, const EvaluationRow& row, Json& json) {
  const task::Estimate estimate = figure.read(row);
  if (figure.unit == FigureUnit::kNats) {
    if (estimate.count == 0) return;
    json[figure.name] = EstimateToJson(estimate);
    json[figure.name]["count"] = estimate.count;
  } else if (figure.unit == FigureUnit::kCount) {
    json[figure.name] = static_cast<int64_t>(estimate.value);
  } else {
    json[figure.name] = estimate.value;
  }
}

// The cells of one row, under the header that FormatEvaluation makes.
std::vector<std::string> RowCells(const EvaluationRow& row, const EvaluationRow& base,
                                  const EvaluationRow* packed, bool share) {
  const bool dense = row.selection == kDense;
  const auto speed_up = [&](const EvaluationRow* from) {
    if (dense || !from || from == &row) return std::string();
    return row.is_bound ? "-" : FormatFixed(from->ffn_seconds / row.ffn_seconds, 2) + "x";
  };
  const bool timed = !row.is_bound;
  const double scale = share ? 100 : 1;
  const int decimals = share ? 2 : 4;
  const auto& [name, value, difference] = row.metric();
  std::vector<std::string> cells = {
      dense                      ? kDense
      : row.selection == kPacked ? StrCat("dense, ", row.weights)
                                 : row.model + " + " + row.selection,
      dense ? "100 %" : Percent(row.ffn_ratio, 0) + " %",
      WithError(value, scale, decimals),
      dense ? "" : WithInterval(difference, scale, decimals),
  };
  for (const Figure& figure : RowFigures()) {
    if (figure.heading == nullptr) continue;
    cells.push_back(dense && figure.compares        ? ""
                    : !timed && figure.is_of_method ? "-"
                                                    : ShowFigure(figure, row));
  }
  cells.push_back(speed_up(&base));
  cells.push_back(speed_up(packed));
  return cells;
}

}  // namespace

std::string FormatEvaluation(const EvaluationReport& report) {
  const bool share = ask::GetMetric(report.kind, report.metrics.front()).is_share;
  const std::string title = ReplaceAll(report.metrics.front(), "_", " ") + (share ? " %" : "");
  std::vector<std::string> header = {"model", "ffn ratio", title, "vs dense, 95 %"};
  for (const Figure& figure : RowFigures()) {
    if (figure.heading != nullptr) header.emplace_back(figure.heading);
  }
  header.emplace_back("FFN speed");
  header.emplace_back("by sparsity");
  const auto packed = std::ranges::find(report.rows, kPacked, &EvaluationRow::selection);
  std::vector<std::vector<std::string>> cells;
  for (const EvaluationRow& row : report.rows) {
    cells.push_back(RowCells(row, report.rows.front(),
                             packed == report.rows.end() ? nullptr : &*packed, share));
  }
  std::string out = StrCat(report.task, " (", report.data_file, ", ",
                           FormatCount(static_cast<uint64_t>(report.num_examples)), " examples");
  if (report.majority_share > 0) {
    out += StrCat("; commonest label ", Percent(report.majority_share, 1), " %");
  }
  for (size_t i = 1; i < report.metrics.size(); ++i) {
    const ask::Metric& metric = ask::GetMetric(report.kind, report.metrics[i]);
    const double value = report.rows.front().metrics[i].value.value;
    out += StrCat(i == 1 ? "; dense " : ", ", ReplaceAll(metric.name, "_", " "), " ",
                  metric.is_share ? Percent(value, 2) + " %" : FormatFixed(value, 4));
  }
  out += ")\n" + FormatTable(header, cells);
  for (const std::string& failure : report.failures) out += "failed: " + failure + "\n";
  return out;
}

Json ReportToJson(const EvaluationReport& report) {
  Json rows = Json::array();
  for (const EvaluationRow& row : report.rows) {
    Json json = {{"model", row.model},
                 {"selection", row.selection},
                 {"ffn_ratio", row.ffn_ratio},
                 {"weights", row.weights}};
    Json differences = Json::object();
    for (const MetricValue& metric : row.metrics) {
      json[metric.name] = EstimateToJson(metric.value);
      Json& difference = differences[metric.name] = EstimateToJson(metric.difference);
      const auto interval = Interval95(metric.difference);
      difference["interval_95"] = nullptr;
      if (interval) difference["interval_95"] = {interval->first, interval->second};
    }
    json["difference_to_dense"] = differences;
    for (const Figure& figure : RowFigures()) AddFigure(figure, row, json);
    rows.push_back(std::move(json));
  }
  Json json = {{"task", report.task},           {"split", report.split},
               {"data_file", report.data_file}, {"examples", report.num_examples},
               {"metrics", report.metrics},     {"labels", report.labels}};
  json["metric_is_share"] = ask::GetMetric(report.kind, report.metrics.front()).is_share;
  if (report.majority_share > 0) json["majority_share"] = report.majority_share;
  json["rows"] = rows;
  json["failures"] = report.failures;
  json["warnings"] = report.warnings;
  return json;
}

}  // namespace moefy::eval
