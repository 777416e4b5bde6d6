// An FFN's weights laid out for the sparse kernels, each in the order in which they are read.
// Thread-safety: immutable once built.
#pragma once

#include <cstdint>
#include <memory>

#include "moefy/model/config.h"

namespace moefy::model {
struct FfnWeights;
}

namespace moefy::runtime {

// The neurons of an expert are processed in tiles of at most so many, the last one narrower.
inline constexpr int64_t kTileNeurons = 32;
// A tile's rows of W_in are stored transposed, in blocks of so many: a cache line of F32.
inline constexpr int64_t kBlockNeurons = 16;
// W_out is processed in panels of so many columns, the last one narrower.
inline constexpr int64_t kPanelColumns = 128;

// With `block` the neurons of a block, `width` those of a tile and `columns` those of a panel:
//   w_in, w_gate  [experts][tiles][blocks][hidden][block]
//   w_out         [experts][tiles][panels][width][columns]
// so that one expert is one contiguous run of each, read from its beginning to its end.
struct ExpertWeights {
  int64_t num_experts = 0;
  int64_t neurons_per_expert = 0;
  int64_t hidden = 0;
  int64_t padded_hidden = 0;  // columns of w_out: hidden rounded up to 16, zeros at the end
  model::Activation activation = model::Activation::kRelu;
  const float* w_in = nullptr;
  const float* b_in = nullptr;    // [experts, neurons_per_expert] or null
  const float* w_gate = nullptr;  // as w_in, or null
  const float* w_out = nullptr;
  const float* b_out = nullptr;   // [padded_hidden] or null
  std::shared_ptr<void> storage;  // keeps the above alive; 64-byte aligned

  int64_t ExpertBytes() const;  // read from memory when one expert runs
};

// `ffn` is permuted as its plan says: expert e owns the e-th run of neurons. Error{kInput} when
// `num_experts` does not divide the neurons, Error{kSystem} when memory runs out.
ExpertWeights PackExperts(const model::FfnWeights& ffn, int64_t num_experts);

}  // namespace moefy::runtime
