// One pass of a model over what a benchmark gives it, phase by phase, and the work in it.
// Thread-safety: one pass at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bench/model_engine.h"
#include "model/model_work.h"
#include "moefy/model/transformer.h"

namespace moefy::bench {

struct PassInputs {
  std::vector<model::ForwardInputs> batches;  // one, but for encoders
  int64_t new_tokens = 0;

  int64_t texts() const;
  int64_t tokens() const;  // without padding
};

// Random tokens, without the special ones that config.json names.
model::ForwardInputs RandomInputs(const model::ModelConfig& config, int64_t batch, int64_t tokens,
                                  uint64_t seed);

// What all passes of a model have in common.
struct Phase {
  std::string name;
  int64_t steps = 1;       // times and counters are divided by it
  double tokens = 0;       // per step
  model::Work rest;        // outside the FFNs, per step
  model::Work dense_ffns;  // of the FFNs if they run densely, per step
  double runs = 1;         // of the stack, per step: how often the weights are read
};
std::vector<Phase> PhasesOf(const model::ModelConfig& config, const PassInputs& inputs);

struct PhaseRun {
  double ms = 0;                     // per step
  runtime::SparseCounters counters;  // of all steps: neurons, bytes, FLOPs and seconds
  at::Tensor output;                 // logits or states; undefined for decoding
};
// In the order of PhasesOf.
std::vector<PhaseRun> RunPass(ModelEngine& engine, const PassInputs& inputs);

}  // namespace moefy::bench
