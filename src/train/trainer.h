// The training loop: batches, gradients, steps, held-out measurements, and a state on disk to go on
// from. The caller decides which weights are trained and through which FFNs: dense ones for
// fine-tuning, masked ones for calibration. It computes where the weights are. On the CPU the
// result depends only on options, data and number of threads, also when a training was stopped and
// goes on. Thread-safety: one call at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "ask/prepared_task.h"
#include "base/json.h"
#include "base/output.h"
#include "moefy/base/progress.h"
#include "moefy/model/transformer.h"
#include "train/objective.h"
#include "train/sparse_pressure.h"
#include "train/trainer_options.h"
#include "train/training_report.h"
#include "train/weights.h"

namespace moefy::train {

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
  // Steps take the ratios in turn. The held-out metric is the mean over all.
  std::vector<double> ffn_ratios = {1.0};
  // Puts the FFNs for a ratio into a dense model. Without it the model stays dense.
  std::function<void(model::Transformer& model, double ffn_ratio)> install;
  Distillation distillation;
  // What the FFNs that `install` puts in report to. With it those weights are best under which as
  // few neurons fire as were asked for.
  SparsePressure* pressure = nullptr;
  // The training goes on from a state on disk that was made with the same.
  Json identity;
};

// Throws Error{kInput} for a head that nothing here trains, Error{kUsage} for options that do not
// suit the model.
void CheckTrainable(const model::ModelConfig& config, const TrainerOptions& options);

// Leaves in setup.weights those that were best on the held-out examples by the task's metric, and
// of equal ones those of the smaller loss. Saves into `state` what it needs to go on, at every
// measurement and when interrupted, and removes it at the end. Where `state` holds another
// training, throws Error{kUsage} or replaces it, as `if_other` says.
TrainingReport Train(const TrainingSetup& setup, const TrainerOptions& options,
                     const std::filesystem::path& state, IfExists if_other, Progress& progress);

}  // namespace moefy::train
