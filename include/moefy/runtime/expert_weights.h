// An FFN's weights laid out for the sparse kernels: per expert contiguous, 64-byte aligned, W_out
// transposed to [neurons, hidden]. Thread-safety: immutable once built.
#pragma once

#include <cstdint>
#include <memory>

#include "moefy/model/ffn.h"

namespace moefy::runtime {

struct ExpertWeights {
  int64_t num_experts = 0;
  int64_t neurons_per_expert = 0;
  int64_t hidden = 0;
  model::Activation activation = model::Activation::kRelu;
  const float* w_in = nullptr;    // [experts, neurons_per_expert, hidden]
  const float* b_in = nullptr;    // [experts, neurons_per_expert] or null
  const float* w_gate = nullptr;  // as w_in, or null
  const float* w_out = nullptr;   // [experts, neurons_per_expert, hidden]
  const float* b_out = nullptr;   // [hidden] or null
  std::shared_ptr<void> storage;  // keeps the above alive

  int64_t ExpertBytes() const;  // read from memory when one expert runs
};

// `ffn` is permuted as its plan says.
ExpertWeights PackExperts(const model::FfnWeights& ffn, int64_t num_experts);

}  // namespace moefy::runtime
