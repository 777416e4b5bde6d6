// The rows of eval.json as a page shows them. Values; pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/base/strings.h"

namespace moefy::pipeline {

// "12.5 %"
std::string InPercent(double share, int decimals = 1);

// One row of eval.json, as far as the page shows it.
struct ShownRow {
  std::string model, selection, weights;
  double ffn_ratio = 1, flops = 1, value = 0;
  std::optional<double> error, ffn_seconds;
  std::string difference, agreement;
  bool is_dense() const { return model.empty(); }
  bool is_bound() const { return !is_dense() && !ffn_seconds; }
  std::string Name() const;
};

struct ShownTask {
  std::string name, split, metric;
  int64_t num_examples = 0;
  bool in_percent = false;
  std::vector<ShownRow> rows;

  std::string Show(double value) const;  // in percent where that is usual
};

// Reads one report. Throws Error{kInput} for one that lacks what the page shows.
ShownTask ReadShownTask(const JsonObject& report);

// The rows of one model and selection, by rising ratio.
using RowsByName = std::map<std::string, std::vector<const ShownRow*>>;
RowsByName SparseRows(const ShownTask& task);

// Against what FFN times are compared: the dense model on the same kernels, or else LibTorch's.
const ShownRow& SpeedBase(const ShownTask& task);

}  // namespace moefy::pipeline
