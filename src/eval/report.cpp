#include "eval/report.h"

#include <algorithm>

#include "ask/metric.h"
#include "base/table.h"
#include "moefy/base/strings.h"

namespace moefy::eval {
namespace {

std::string Percent(double share, int decimals) { return FormatFixed(100 * share, decimals); }

std::string Signed(double value, int decimals) {
  return (value >= 0 ? "+" : "") + FormatFixed(value, decimals);
}

// "81.25 ± 9.76"; of one example there is no telling.
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

}  // namespace

std::string FormatEvaluation(const EvaluationReport& report) {
  std::vector<std::vector<std::string>> cells;
  const double dense_seconds = report.rows.front().ffn_seconds;
  const bool share = ask::GetMetric(report.kind, report.metrics.front()).is_share;
  const double scale = share ? 100 : 1;
  const int decimals = share ? 2 : 4;
  for (const EvaluationRow& row : report.rows) {
    const bool dense = row.selection == "dense";
    const bool timed = !row.is_bound;
    const auto& [name, value, difference] = row.metric();
    cells.push_back({
        dense ? "dense" : row.model + " + " + row.selection,
        dense ? "100 %" : Percent(row.ffn_ratio, 0) + " %",
        WithError(value, scale, decimals),
        dense ? "" : WithInterval(difference, scale, decimals),
        dense ? "" : Percent(row.agreement, 1) + " %",
        dense               ? ""
        : row.kl.count == 0 ? "-"
                            : FormatFixed(row.kl.value, 4),
        Percent(row.measured_ffn_ratio, 1) + " %",
        timed ? Percent(row.ffn_flops_ratio, 1) + " %" : "-",
        timed ? FormatDuration(row.ffn_seconds) : "-",
        timed && !dense ? FormatFixed(dense_seconds / row.ffn_seconds, 2) + "x"
        : timed         ? ""
                        : "-",
    });
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
  const std::string title = ReplaceAll(report.metrics.front(), "_", " ") + (share ? " %" : "");
  out += ")\n" + FormatTable({"model", "ffn ratio", title, "vs dense, 95 %", "agree", "KL",
                              "neurons run", "FLOPs+router", "FFN time", "FFN speed"},
                             cells);
  for (const std::string& failure : report.failures) out += "failed: " + failure + "\n";
  return out;
}

Json ReportToJson(const EvaluationReport& report) {
  Json rows = Json::array();
  for (const EvaluationRow& row : report.rows) {
    Json json = {{"model", row.model}, {"selection", row.selection}, {"ffn_ratio", row.ffn_ratio}};
    Json differences = Json::object();
    for (const MetricValue& metric : row.metrics) {
      json[metric.name] = EstimateToJson(metric.value);
      Json& difference = differences[metric.name] = EstimateToJson(metric.difference);
      const auto interval = Interval95(metric.difference);
      difference["interval_95"] = nullptr;
      if (interval) difference["interval_95"] = {interval->first, interval->second};
    }
    json["difference_to_dense"] = differences;
    json["agreement_with_dense"] = row.agreement;
    if (row.kl.count > 0) {
      json["kl_from_dense"] = EstimateToJson(row.kl);
      json["kl_from_dense"]["count"] = row.kl.count;
    }
    json["measured_ffn_ratio"] = row.measured_ffn_ratio;
    json["ffn_flops_ratio_with_router"] = row.ffn_flops_ratio;
    json["seconds"] = row.seconds;
    json["ffn_seconds"] = row.ffn_seconds;
    json["ffn_tokens"] = row.tokens;
    json["expert_weight_bytes_read"] = row.weight_bytes_read;
    rows.push_back(std::move(json));
  }
  Json json = {{"task", report.task},           {"split", report.split},
               {"data_file", report.data_file}, {"examples", report.num_examples},
               {"metrics", report.metrics},     {"labels", report.labels}};
  if (report.majority_share > 0) json["majority_share"] = report.majority_share;
  json["rows"] = rows;
  json["failures"] = report.failures;
  json["warnings"] = report.warnings;
  return json;
}

}  // namespace moefy::eval
