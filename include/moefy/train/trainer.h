// The loop: batches, gradients, steps, held-out measurements, and a state on disk to go on from.
// What is trained and through which FFNs is the caller's (dense: fine-tuning; masked: calibration).
// Deterministic in its options, data and number of threads; a training that was stopped and goes on
// ends with the same weights. Thread-safety: one call at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/base/output.h"
#include "moefy/base/progress.h"
#include "moefy/eval/prepared_task.h"
#include "moefy/model/transformer.h"
#include "moefy/train/weights.h"

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

// The distance to a dense parent as part of the objective.
struct Distillation {
  model::Transformer* teacher = nullptr;  // nullptr: none
  double share = 0;                       // of the loss; the answers keep 1 - share
  double temperature = 2;
  double ffn_weight = 0;  // of FfnLoss, added
};

struct HeldOut {
  const eval::PreparedTask& task;
  const task::TaskSpec& spec;
  const task::Dataset& dataset;
};

struct TrainingSetup {
  const model::ModelConfig& config;
  TrainableWeights& weights;
  int64_t pad_id;
  const std::vector<eval::Sequence>& sequences;
  HeldOut held_out;
  // Each step takes one of them, in turn; the held-out metric is the mean over all.
  std::vector<double> ffn_ratios = {1.0};
  // Puts the FFNs for a ratio into a model that is dense; empty: stays dense.
  std::function<void(model::Transformer& model, double ffn_ratio)> install;
  Distillation distillation;
  // What a state on disk must have been made with to go on from it.
  Json identity;
};

// One measurement on what was held out.
struct Measurement {
  int64_t step = 0;
  double loss = 0;              // of training, mean since the last one; 0 at step 0
  double held_out_loss = 0;     // nats per answer, mean over ffn ratios
  std::vector<double> metrics;  // the task's, per ffn ratio
};

struct TrainingReport {
  int64_t num_sequences = 0;
  int64_t num_held_out = 0;
  int64_t num_trained = 0;  // parameters
  int64_t first_step = 0;   // more than 0: went on from a state
  std::string metric;
  std::vector<Measurement> history;  // first: before any step
  size_t best = 0;                   // into history; its weights are the result
  double seconds = 0;
};

// Leaves the weights that were best on the held-out examples (by the task's metric; of equals, by
// loss) in setup.weights. Saves what it needs to go on into `state` at every measurement and when
// interrupted, and removes it at the end. When `state` holds another training: Error{kUsage}, or it
// is replaced.
TrainingReport Train(const TrainingSetup& setup, const TrainerOptions& options,
                     const std::filesystem::path& state, IfExists if_other, Progress& progress);

// While one lives, the process keeps large temporaries, which glibc would give back to the kernel
// every time, and takes denormals, a hundred times slower than numbers, for 0. Train makes one.
class FastProcess {
 public:
  FastProcess();
  ~FastProcess();
  FastProcess(const FastProcess&) = delete;
  FastProcess& operator=(const FastProcess&) = delete;
};

}  // namespace moefy::train
