// Downstream quality of split models against their dense parent: one pass per model, selection and
// ffn ratio over the same examples.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/base/progress.h"
#include "moefy/runtime/weight_format.h"
#include "moefy/split/moe_checkpoint.h"
#include "moefy/task/dataset.h"
#include "moefy/task/metrics.h"
#include "moefy/task/task_spec.h"

namespace moefy::eval {

struct EvaluateOptions {
  std::vector<double> ffn_ratios = {0.1, 0.2, 0.3, 0.5, 1.0};
  std::vector<std::string> selections = {"mlp", "similarity", "random", "oracle"};
  runtime::WeightFormat weights = runtime::WeightFormat::kF32;  // of the split models
  uint64_t seed = 0;                                            // of the random selection
};

// One row of the table.
struct EvaluationRow {
  std::string model;      // name of the split model; "" for dense
  std::string selection;  // "dense", or a name of route::RouterNames()
  double ffn_ratio = 1;   // as asked for
  task::Estimate accuracy;
  task::Estimate difference;  // accuracy minus dense accuracy, paired by example
  double agreement = 1;       // share of predictions equal to dense
  task::Estimate kl;          // KL(dense || this) over the labels, nats

  double measured_ffn_ratio = 1;  // neurons evaluated / neurons, counted
  double ffn_flops_ratio = 1;     // the same in FLOPs with the router's added
  double seconds = 0;             // all forward passes
  double ffn_seconds = 0;         // of which inside FFNs, router included
  int64_t tokens = 0;             // tokens through FFNs, summed over FFNs
  int64_t weight_bytes_read = 0;  // expert weights read from memory
};

struct EvaluationReport {
  std::string task;
  std::string split;
  std::string data_file;
  int64_t num_examples = 0;
  std::vector<std::string> labels;
  double majority_share = 0;        // accuracy of always answering the commonest label
  std::vector<EvaluationRow> rows;  // dense first
  std::vector<std::string> warnings;
};

struct NamedModel {
  std::string name;
  const split::MoeCheckpoint* moe;
};

// `dense` is any checkpoint directory whose dense run is the base line: the source, or a split
// model itself. `models` may be empty: then only dense is measured.
EvaluationReport Evaluate(const io::Checkpoint& dense, const std::vector<NamedModel>& models,
                          const task::TaskSpec& spec, const std::string& split_name,
                          const task::Dataset& dataset, const EvaluateOptions& options,
                          Progress& progress = SilentProgress());

Json ReportToJson(const EvaluationReport& report);

}  // namespace moefy::eval
