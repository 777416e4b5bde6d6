// How a training goes. Needs no LibTorch, as what only describes or reads a training must not.
#pragma once

#include <cstdint>
#include <string>

namespace moefy::train {

struct TrainerOptions {
  int64_t epochs = 3;
  int64_t steps = 0;                // in place of epochs, if more than 0
  int64_t batch_size = 32;          // sequences per step
  int64_t batch_tokens = 4096;      // padded tokens in memory at once; a step takes several rounds
  std::string optimizer = "adamw";  // or "muon": AdamW for all but the matrices inside the blocks
  double learning_rate = 1e-4;
  double matrix_rate = 0.02;        // of Muon
  std::string schedule = "linear";  // or cosine, constant: after the warm-up
  double warm_up = 0.1;             // share of the steps in which the step size grows from 0
  double weight_decay = 0.01;       // of matrices
  double max_norm = 1.0;            // of the gradient; 0: any
  double token_dropout = 0;         // share of an encoder's input tokens left out at random
  int64_t evaluate_every = 0;       // steps; 0: an epoch
  int64_t patience = 0;             // stop after so many evaluations without a better one; 0: never
  uint64_t seed = 0;
};
// Error{kUsage} for values that make no sense.
void CheckOptions(const TrainerOptions& options);

// Share of the step size at step 1, 2, ... of `num_steps`.
double LearningRateShare(const TrainerOptions& options, int64_t step, int64_t num_steps);

}  // namespace moefy::train
