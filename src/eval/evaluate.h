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
#include "moefy/eval/evaluation_report.h"
#include "route/selection.h"
#include "runtime/weight_format.h"
#include "split/moe_checkpoint.h"
#include "task/dataset.h"
#include "task/metrics.h"
#include "task/task_spec.h"

namespace moefy::eval {

// Hears of every example of every row, as one line of JSON each.
using SampleSink = std::function<void(const Json& sample)>;

struct EvaluateOptions {
  std::vector<double> ffn_ratios = {0.1, 0.2, 0.3, 0.5, 1.0};
  std::vector<route::Selection> selections;
  runtime::WeightFormat weights = runtime::WeightFormat::kF32;  // of the split models
  uint64_t seed = 0;                                            // of the random selection
  at::Device device = at::kCPU;                                 // of the dense model
  SampleSink sample_sink;                                       // may be empty
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
