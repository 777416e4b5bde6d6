// How a training goes. These headers need no LibTorch, so that what only describes or reads a
// training does without.
#pragma once

#include <cstdint>
#include <string>

namespace moefy::train {

struct TrainerOptions {
  int64_t epochs = 3;
  int64_t steps = 0;
  int64_t batch_size = 32;
  int64_t batch_tokens = 4096;
  std::string optimizer = "adamw";
  double learning_rate = 1e-4;
  double matrix_rate = 0.02;
  std::string schedule = "linear";
  double warm_up = 0.1;
  double weight_decay = 0.01;
  double max_norm = 1.0;
  double token_dropout = 0;
  int64_t evaluate_every = 0;
  int64_t patience = 0;
  int64_t seed = 0;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Field("epochs", epochs, "passes over the examples");
    v.Field("steps", steps, "steps in place of epochs; 0: epochs");
    v.Field("batch-size", batch_size, "examples per step");
    v.Field("batch-tokens", batch_tokens,
            "padded tokens in memory at once; a step goes through its examples in such parts");
    v.Field("optimizer", optimizer,
            "adamw, or muon: AdamW for all but the matrices inside the blocks");
    v.Field("learning-rate", learning_rate, "AdamW's step size");
    v.Field("matrix-rate", matrix_rate, "Muon's step size");
    v.Field("schedule", schedule, "of the step size: linear, cosine or constant");
    v.Field("warm-up", warm_up, "share of the steps in which the step size grows from 0");
    v.Field("weight-decay", weight_decay, "of matrices, per unit of step size");
    v.Field("clip", max_norm, "largest L2 norm of the gradient; 0: any");
    v.Field("token-dropout", token_dropout,
            "share of an encoder's input tokens left out at random");
    v.Field("evaluate-every", evaluate_every,
            "steps between measurements on what is held out; 0: an epoch");
    v.Field("patience", patience, "stop after so many measurements without a better one; 0: never");
    v.Field("seed", seed, "of order, dropout and random weights");
  }
};
// Throws Error{kUsage} for values that make no sense.
void CheckOptions(const TrainerOptions& options);

// The share of the step size at step 1, 2, ... of `num_steps`.
double LearningRateShare(const TrainerOptions& options, int64_t step, int64_t num_steps);

// LoRA (Hu et al., arXiv 2106.09685): W + alpha / rank * B A, where only A [rank, in] and B
// [out, rank] are trained; B starts at 0.
struct LoraOptions {
  int64_t rank = 0;  // 0: the parameters themselves are trained
  double alpha = 16;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Field("lora-rank", rank, "train low-rank changes of the matrices instead; 0: no");
    v.Field("lora-alpha", alpha, "these changes count alpha / rank times");
  }
};
// Throws Error{kUsage} for values that make no sense.
void CheckOptions(const LoraOptions& options);

// How far the distance to the model that a training learns from counts.
struct DistillOptions {
  double distill = 0;
  double temperature = 2;
  double distill_ffn = 0;
  double distill_hidden = 0;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Field("distill", distill, "share of the loss that is the distance to the original's answers");
    v.Field("temperature", temperature, "of that distance");
    v.Field("distill-ffn", distill_ffn,
            "weight of the distance of each FFN's output to the original's");
    v.Field("distill-hidden", distill_hidden,
            "weight of the distance of the states between blocks to the original's");
  }
  bool wanted() const { return distill > 0 || distill_ffn > 0 || distill_hidden > 0; }
};
// Throws Error{kUsage} for values that make no sense.
void CheckOptions(const DistillOptions& options);

// How few neurons shall fire, and what drives a training there (train/sparse_pressure.h).
struct PressureOptions {
  double active = 0.1;
  std::string penalty = "hoyer";
  double ramp = 0.5;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Field("active", active,
            "the share of the neurons that shall fire on a token, as the mean over FFNs; 1: any");
    v.Field("penalty", penalty, "what drives neurons to silence: hoyer or l1");
    v.Field("ramp", ramp, "share of the steps within which that share is reached");
  }
};
// Throws Error{kUsage} for values that make no sense.
void CheckOptions(const PressureOptions& options);

}  // namespace moefy::train
