// The stage sparsify, before the split: replaces the activation of a dense model's FFNs, trains the
// model to answer as before, and presses its neurons to silence. The result is an ordinary dense
// checkpoint. OUT.training holds what a stopped training goes on from.
#pragma once

#include <string>
#include <vector>

#include "base/output.h"
#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "pipeline/train_stages.h"
#include "train/trainer_options.h"

namespace moefy::pipeline {

struct SparsifyOptions {
  std::string checkpoint;
  std::string activation = "relu";
  std::string text;
  train::PressureOptions pressure;
  train::DistillOptions distill = {.distill = 0.5};
  TrainStageOptions training;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "dense checkpoint directory");
    v.Field("activation", activation,
            "the new activation: relu, relu2, or relu_both for gate and up; keep: as it is");
    pressure.Visit(v);
    distill.Visit(v);
    v.Field("text", text, "a text file that a language model trains on, in place of a task");
    training.Visit(v);
    v.Field("out", out, "directory for the sparse dense checkpoint");
  }
};

struct SparsifyResult {
  TrainResult training;
  std::vector<std::string> ffns;  // names, as in Measurement::active
  std::string activation, original_activation;
  double original_metric = 0;  // of the checkpoint, on the same held-out examples
  std::vector<double> original_active;
};

// Throws Error{kUsage} for options that make no sense. Reads the task file and no other.
void CheckSparsifyOptions(const SparsifyOptions& options);
// Throws Error{kUsage} for options that do not suit the model, Error{kInput} for a model that
// nothing here trains. Reads its config.json.
void CheckSuits(const SparsifyOptions& options, const io::Checkpoint& checkpoint);

// Throws Error{kUsage} for options that make no sense and Error{kInput} for data or models that do
// not fit, before any model is loaded where that can be told.
SparsifyResult Sparsify(const SparsifyOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
