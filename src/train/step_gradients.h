// The gradients of a step, which follow from the weights, the step's number and nothing else. The
// ranks of an MPI run can share a step: each takes every n-th of its sequences, and rank 0, which
// has the optimizer, gets the sums. Thread-safety: one owner at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ask/batches.h"
#include "train/trainer_options.h"
#include "train/training_setup.h"

namespace moefy::train {

// The model with the weights as they are now and the FFNs for a ratio.
model::Transformer BuildModel(const TrainingSetup& setup, double ffn_ratio);
// Batches of the sequences, where the weights are.
std::vector<ask::Batch> BatchesOf(const TrainingSetup& setup, const TrainerOptions& options,
                                  const std::vector<ask::Sequence>& sequences);

class StepGradients {
 public:
  StepGradients(const TrainingSetup& setup, const TrainerOptions& options);

  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  // Adds to the leaves the gradients of a step's loss and returns the loss, with the help of the
  // other ranks where the setup says so. Steps are counted from 0.
  double Add(int64_t step);
  // Sends ranks home that serve.
  void Finish() const;
  // The other ranks: does what Add of rank 0 needs of them, until Finish.
  void Serve();

 private:
  // The sum over the sequences i of the step with i % num_shares == share.
  double AddShare(int64_t step, size_t share, size_t num_shares);
  // Gives rank 0's weights to all ranks, and it all their gradients and losses.
  void ShareWeights() const;
  double SumUp(double loss) const;

  const TrainingSetup& setup_;
  const TrainerOptions& options_;
  int64_t steps_per_epoch_;
  std::vector<std::vector<size_t>> plan_;  // of planned_epoch_
  int64_t planned_epoch_ = -1;
};

}  // namespace moefy::train
