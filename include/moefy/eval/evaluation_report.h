// What an evaluation tells: split models beside dense, on one task.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "moefy/task/estimate.h"

namespace moefy::task {
enum class TaskKind;  // task/task_spec.h
}

namespace moefy::eval {

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
  bool is_bound = false;             // chosen by an oracle or at random, so its time means nothing
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
  task::TaskKind kind{};
  int64_t num_examples = 0;
  std::vector<std::string> labels;
  std::vector<std::string> metrics;   // as in the rows
  double majority_share = 0;          // always answering the commonest label; 0 without labels
  std::vector<EvaluationRow> rows;    // dense first
  std::vector<std::string> failures;  // rows that a gate (gate.h) did not let pass
  std::vector<std::string> warnings;
};

}  // namespace moefy::eval
