// A router's weights in the layout of the kernels, which score and choose in the same parallel
// region that runs the experts. Values that share their memory, thread-safe.
#pragma once

#include <cstdint>
#include <memory>

#include "route/router.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

// A router for the kernels, its matrices in tiles like W_in: scores = W2 tanh(W1 x / |x|), or
// without W2 W1 x + b or W1 x / |x|. With INT8 and INT4 experts W1 is INT8: it reads the same
// quantized x. W2 is small and stays F32.
struct RouterWeights {
  int64_t num_experts = 0;
  int64_t hidden = 0;
  WeightFormat format = WeightFormat::kF32;  // of w1; F32 or INT8
  const std::byte* w1 = nullptr;             // of [experts, hidden]
  const float* w1_scale = nullptr;           // [experts], INT8 only
  const float* bias = nullptr;               // [experts], or null
  const float* w2 = nullptr;                 // of [experts, experts], or null
  bool of_direction = false;                 // x is divided by its length
  std::shared_ptr<void> storage;
};
// By the router's form and parameters (route/router.h); nothing, without storage, for kOther.
RouterWeights PackRouter(const route::Router& router, WeightFormat format = WeightFormat::kF32);

}  // namespace moefy::runtime
