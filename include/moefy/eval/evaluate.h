// Downstream quality of split models against their dense parent: one pass per model, selection and
// ffn ratio over the same examples.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/base/progress.h"
#include "moefy/runtime/weight_format.h"
#include "moefy/split/moe_checkpoint.h"
#include "moefy/task/dataset.h"
#include "moefy/task/metrics.h"
#include "moefy/task/task_spec.h"

namespace moefy::eval {

// Hears of every example of every row, as one line of JSON each.
using SampleSink = std::function<void(const Json& sample)>;

struct EvaluateOptions {
  std::vector<double> ffn_ratios = {0.1, 0.2, 0.3, 0.5, 1.0};
  std::vector<std::string> selections = {"stored", "similarity", "random", "oracle"};
  runtime::WeightFormat weights = runtime::WeightFormat::kF32;  // of the split models
  uint64_t seed = 0;                                            // of the random selection
  at::Device device = at::kCPU;                                 // of the dense model
  SampleSink sample_sink;                                       // may be empty
};

struct MetricValue {
  std::string name;
  task::Estimate value;
  task::Estimate difference;  // to dense, paired by example (perplexity: by token)
};

// The bounds of the 95 % confidence interval, by the normal distribution; none without a standard
// error.
std::optional<std::pair<double, double>> Interval95(const task::Estimate& estimate);

// One row of the table.
struct EvaluationRow {
  std::string model;                 // name of the split model; "" for dense
  std::string selection;             // "dense", or a name of route::RouterNames()
  double ffn_ratio = 1;              // as asked for
  std::vector<MetricValue> metrics;  // the task's own first, then the others of its kind
  double agreement = 1;  // share of predictions (perplexity: of likeliest tokens) equal to dense
  // KL(dense || this) in nats, over the labels or of the next token; count 0: text has none. Of
  // tokens, it is that of the first ones, as many distributions as fit 256 MB.
  task::Estimate kl;

  double measured_ffn_ratio = 1;  // neurons evaluated / neurons, counted
  double ffn_flops_ratio = 1;     // the same in FLOPs with the router's added
  double seconds = 0;             // answering all examples
  double ffn_seconds = 0;         // of which inside FFNs, router included
  int64_t tokens = 0;             // tokens through FFNs, summed over FFNs
  int64_t weight_bytes_read = 0;  // expert weights read from memory

  const MetricValue& metric() const { return metrics.front(); }
};

struct EvaluationReport {
  std::string task;
  std::string split;
  std::string data_file;
  task::TaskKind kind = task::TaskKind::kClassification;
  int64_t num_examples = 0;
  std::vector<std::string> labels;
  std::vector<std::string> metrics;   // as in the rows
  double majority_share = 0;          // always answering the commonest label; 0 without labels
  std::vector<EvaluationRow> rows;    // dense first
  std::vector<std::string> failures;  // rows that a gate (gate.h) did not let pass
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

}  // namespace moefy::eval
