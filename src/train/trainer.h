// The loop: batches, gradients, steps, held-out measurements, and a state on disk to go on from.
// What is trained and through which FFNs is the caller's (dense: fine-tuning; masked: calibration).
// Computes where the weights are. On the CPU deterministic in its options, data and number of
// threads: a training that was stopped and goes on ends with the same weights. Thread-safety: one
// call at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "ask/prepared_task.h"
#include "moefy/base/json.h"
#include "moefy/base/output.h"
#include "moefy/base/progress.h"
#include "moefy/model/transformer.h"
#include "train/trainer_options.h"
#include "train/training_report.h"
#include "train/weights.h"

namespace moefy::train {

// The distance to a dense parent as part of the objective.
struct Distillation {
  model::Transformer* teacher = nullptr;  // nullptr: none
  double share = 0;                       // of the loss; the answers keep 1 - share
  double temperature = 2;
  double ffn_weight = 0;  // of FfnLoss, added
};

struct HeldOut {
  const ask::PreparedTask& task;
  const task::TaskSpec& spec;
  const task::Dataset& dataset;
};

struct TrainingSetup {
  const model::ModelConfig& config;
  TrainableWeights& weights;
  int64_t pad_id;
  const std::vector<ask::Sequence>& sequences;
  HeldOut held_out;
  // Each step takes one of them, in turn; the held-out metric is the mean over all.
  std::vector<double> ffn_ratios = {1.0};
  // Puts the FFNs for a ratio into a model that is dense; empty: stays dense.
  std::function<void(model::Transformer& model, double ffn_ratio)> install;
  Distillation distillation;
  // What a state on disk must have been made with to go on from it.
  Json identity;
};

// Leaves the weights that were best on the held-out examples (by the task's metric; of equals, by
// loss) in setup.weights. Saves what it needs to go on into `state` at every measurement and when
// interrupted, and removes it at the end. When `state` holds another training: Error{kUsage}, or it
// is replaced.
TrainingReport Train(const TrainingSetup& setup, const TrainerOptions& options,
                     const std::filesystem::path& state, IfExists if_other, Progress& progress);

}  // namespace moefy::train
