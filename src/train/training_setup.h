// What a training is of: the model, what may change in it, the examples, and what is held out.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "ask/prepared_task.h"
#include "base/json.h"
#include "moefy/model/transformer.h"
#include "train/objective.h"
#include "train/sparse_pressure.h"
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
  // The other ranks of an MPI run are in ServeTraining and share the work of each step.
  bool among_ranks = false;
};

}  // namespace moefy::train
