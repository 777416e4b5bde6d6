// The result of an evaluation: the dense model and split models, side by side, on one task.
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

// The bounds of the 95 % confidence interval, by the normal distribution. An estimate without a
// standard error has no bounds.
std::optional<std::pair<double, double>> Interval95(const task::Estimate& estimate);

// The selections of rows that run all neurons of the dense model: by LibTorch in F32, and on our
// kernels with packed weights.
inline constexpr const char* kDense = "dense";
inline constexpr const char* kPacked = "packed";

// One row of the table: one model with one selection and ffn ratio. The figures below `metrics` are
// named as in the JSON of `moefy eval` and in `--fail-if` (eval/figures.h).
struct EvaluationRow {
  std::string model;                 // name of the split model; "" for the dense model's rows
  std::string selection;             // kDense, kPacked, or a name of route::RouterNames()
  std::string weights = "f32";       // how they are kept in memory
  bool is_bound = false;             // chosen by an oracle or at random, so its time means nothing
  double ffn_ratio = 1;              // as asked for
  std::vector<MetricValue> metrics;  // the task's own first, then the others of its kind
  // The share of the predictions (perplexity: of the likeliest tokens) that equal dense's.
  double agreement_with_dense = 1;
  // KL(dense || this) in nats, over the labels or over the next token. Its count is 0 where answers
  // are texts, which have none. Of next tokens, only the first distributions that fit into 256 MB
  // are compared.
  task::Estimate kl_from_dense;

  double measured_ffn_ratio = 1;           // neurons evaluated / neurons, counted
  double ffn_flops_ratio_with_router = 1;  // FLOPs of experts and router / FLOPs of dense FFNs
  double seconds = 0;                      // answering all examples
  double ffn_seconds = 0;                  // of which inside FFNs, router included
  int64_t ffn_tokens = 0;                  // tokens through FFNs, summed over FFNs
  int64_t expert_weight_bytes_read = 0;    // from memory

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
  double majority_share = 0;          // of always answering the commonest label; 0 without labels
  std::vector<EvaluationRow> rows;    // dense first
  std::vector<std::string> failures;  // the rows that --fail-if found, in words
  std::vector<std::string> warnings;
};

}  // namespace moefy::eval
