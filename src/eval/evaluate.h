// Downstream quality of split models against their dense parent: one pass over the same examples
// per model, selection and ffn ratio.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/base/progress.h"
#include "moefy/eval/evaluation_report.h"
#include "route/selection.h"
#include "runtime/weight_format.h"
#include "split/moe_checkpoint.h"
#include "task/dataset.h"
#include "task/task_spec.h"

namespace moefy::eval {

// Hears of every example of every row, as one line of JSON each. Per task, the rows come in the
// order of the report; rows of several tasks take turns.
using SampleSink = std::function<void(size_t task_idx, const Json& sample)>;

struct EvaluateOptions {
  std::vector<double> ffn_ratios = {0.1, 0.2, 0.3, 0.5, 1.0};
  std::vector<route::Selection> selections;
  runtime::WeightFormat weights = runtime::WeightFormat::kF32;  // of all rows but "dense"
  uint64_t seed = 0;                                            // of the random selection
  at::Device device = at::kCPU;                                 // of the row "dense"
  SampleSink sample_sink;                                       // may be empty
};

struct NamedModel {
  std::string name;
  const split::MoeCheckpoint* moe;
};

// A task and the examples of one of its splits.
struct EvaluationTask {
  task::TaskSpec spec;
  std::string split;
  task::Dataset dataset;
};

// One report per task. `dense` is any checkpoint directory whose dense run is the base line: the
// source, or a split model itself. Its row "dense", by LibTorch in F32, is the first, and all rows
// are compared with it. The row "packed" is the same model on our kernels with its weights as those
// of the split models: what lies between the two is not due to sparsity. It is left out where it
// would say nothing: with no split models in `models`, and F32.
//
// Each model is made once and answers all tasks: the dense one first, whose answers are kept and
// whose weights are freed, then one split model after the other. So never more than one model is in
// memory (decision 8).
// Throws Error{kUsage} for selections that a model cannot serve and Error{kInput} for tasks that
// the model cannot answer, both before any weights are read.
std::vector<EvaluationReport> Evaluate(const io::Checkpoint& dense,
                                       const std::vector<NamedModel>& models,
                                       const std::vector<EvaluationTask>& tasks,
                                       const EvaluateOptions& options,
                                       Progress& progress = SilentProgress());

}  // namespace moefy::eval
