#include "pipeline/shown_rows.h"

#include <algorithm>

#include "moefy/base/error.h"
#include "moefy/eval/evaluation_report.h"

namespace moefy::pipeline {
namespace {

bool IsBound(const std::string& selection) {
  return selection.starts_with("oracle") || selection.starts_with("random");
}

}  // namespace

std::string InPercent(double share, int decimals) {
  return FormatFixed(100 * share, decimals) + " %";
}

std::string ShownRow::Name() const {
  if (selection == eval::kDense) return "dense, LibTorch";
  return is_dense() ? StrCat("dense, ", weights) : StrCat(model, ", ", selection);
}

std::string ShownTask::Show(double value) const {
  return in_percent ? FormatFixed(100 * value, 2) : FormatFixed(value, 4);
}

ShownTask ReadShownTask(const JsonObject& report) {
  ShownTask task;
  task.name = report.GetString("task");
  task.split = report.GetString("split");
  task.num_examples = report.GetInt("examples", 0, INT64_MAX);
  const std::vector<std::string> metrics = report.GetStrings("metrics");
  if (metrics.empty()) throw InputError(report.PathOf("metrics"), " is empty");
  task.metric = metrics.front();
  task.in_percent = report.GetBool("metric_is_share", false);
  for (const JsonObject& json : report.GetObjects("rows")) {
    constexpr double kMost = 1e300;
    ShownRow row;
    row.model = json.GetString("model");
    row.selection = json.GetString("selection");
    row.weights = json.GetString("weights");
    row.ffn_ratio = json.GetNumber("ffn_ratio", 0, 1);
    row.flops = json.GetNumber("ffn_flops_ratio_with_router", 0, kMost, row.ffn_ratio);
    const JsonObject metric = json.GetObject(task.metric);
    row.value = metric.GetNumber("value", -kMost, kMost);
    if (metric.Has("standard_error")) row.error = metric.GetNumber("standard_error", 0, kMost);
    if (!IsBound(row.selection)) row.ffn_seconds = json.GetNumber("ffn_seconds", 0, kMost);
    const JsonObject change = json.GetObject("difference_to_dense").GetObject(task.metric);
    if (row.selection != eval::kDense) {
      row.difference = task.Show(change.GetNumber("value", -kMost, kMost));
      if (change.Has("interval_95")) {
        const std::vector<double> bounds = change.GetNumbers("interval_95");
        if (bounds.size() != 2) {
          throw InputError(change.PathOf("interval_95"), " has ", bounds.size(),
                           " numbers; expected 2");
        }
        row.difference += StrCat(" [", task.Show(bounds.at(0)), ", ", task.Show(bounds.at(1)), "]");
      }
      row.agreement = InPercent(json.GetNumber("agreement_with_dense", 0, 1));
    }
    task.rows.push_back(std::move(row));
  }
  if (task.rows.empty()) throw InputError(report.PathOf("rows"), " is empty");
  return task;
}

RowsByName SparseRows(const ShownTask& task) {
  RowsByName rows;
  for (const ShownRow& row : task.rows) {
    if (!row.is_dense()) rows[row.Name()].push_back(&row);
  }
  for (auto& [name, of_name] : rows) {
    std::ranges::stable_sort(of_name, {}, [](const ShownRow* row) { return row->ffn_ratio; });
  }
  return rows;
}

const ShownRow& SpeedBase(const ShownTask& task) {
  for (const ShownRow& row : task.rows) {
    if (row.selection == eval::kPacked) return row;
  }
  return task.rows.front();
}

}  // namespace moefy::pipeline
