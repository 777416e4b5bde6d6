// An FFN's weights laid out for the sparse kernels, in the order in which the kernels read them.
// Thread-safety: immutable once built.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "moefy/model/config.h"
#include "runtime/weight_format.h"
#include "runtime/weight_tiles.h"

namespace moefy::model {
struct FfnWeights;
}

namespace moefy::runtime {

// W_out is processed in panels of so many columns, the last one narrower.
inline constexpr int64_t kPanelColumns = 128;

// With `width` the neurons of a tile and `columns` those of a panel:
//   w_in, w_gate  [experts][tiles], laid out as runtime/weight_tiles.h says
//   w_out         [experts][tiles][panels][width][columns]
// so that one expert is one contiguous run of each, read from its beginning to its end. Experts of
// fewer neurons than a tile lie as runtime/small_tiles.h says, except in INT4. INT8 stores
// each value + 128 in an unsigned byte (runtime/int8_simd.h). INT4 keeps w_out in INT8: it would
// lose most there, and its rows of neurons that are zero can be left unread only as they are.
struct ExpertWeights {
  int64_t num_experts = 0;
  int64_t neurons_per_expert = 0;
  int64_t hidden = 0;
  int64_t padded_hidden = 0;  // columns of w_out: hidden rounded up to 16, zeros at the end
  model::Activation activation = model::Activation::kRelu;
  WeightFormat format = WeightFormat::kF32;
  const std::byte* w_in = nullptr;
  const std::byte* w_gate = nullptr;  // as w_in, or null
  const std::byte* w_out = nullptr;
  // INT8 matrices' own, else null: what rows of w_in and w_gate are multiplied by, [neurons], and
  // columns of w_out, [padded_hidden]. Columns, because a neuron whose output is huge in a few of
  // them would leave the others no precision. b_out and compensation are divided by the columns'
  // scales.
  const float* in_scale = nullptr;
  const float* gate_scale = nullptr;
  const float* out_scale = nullptr;
  const float* b_in = nullptr;           // [experts, neurons_per_expert] or null
  const float* b_gate = nullptr;         // as b_in, or null
  const float* b_out = nullptr;          // [padded_hidden] or null
  const float* compensation = nullptr;   // [experts, padded_hidden] or null
  const float* min_magnitude = nullptr;  // [experts, neurons_per_expert] or null
  std::shared_ptr<void> storage;         // keeps the above alive; 64-byte aligned
  std::shared_ptr<void> compensation_storage, min_magnitude_storage;

  int64_t num_matrices() const { return w_gate ? 3 : 2; }
  // Whether weights lie as runtime/small_tiles.h says.
  bool small() const { return neurons_per_expert < kTileNeurons && format != WeightFormat::kInt4; }
  WeightFormat out_format() const;
  int64_t InBytes() const;                 // of a neuron's row of w_in
  int64_t InOffset(int64_t expert) const;  // of its rows in w_in and w_gate, in bytes
  // Of a tile's panel in w_out, in bytes; not for small experts in INT8.
  int64_t OutOffset(int64_t first_neuron, int64_t column) const;
  int64_t OutBytes() const;     // of a neuron's row of w_out
  int64_t ExpertBytes() const;  // read from memory when one expert runs
};

// `ffn` is permuted as its plan says: expert e owns the e-th run of neurons. Its tensors are F32
// and may be strided. Error{kInput} when `num_experts` does not divide the neurons, Error{kSystem}
// when memory runs out. In parallel; needs no memory but the result's. Where the slot's memory is
// filled already, only the shapes of `ffn` are looked at.
ExpertWeights PackExperts(const model::FfnWeights& ffn, int64_t num_experts,
                          WeightFormat format = WeightFormat::kF32, const PackedSlot& slot = {});

// Adds, for each token, the `terms` [experts, hidden] of the experts that were not chosen to the
// output: what stands in for them.
ExpertWeights WithCompensation(ExpertWeights experts, const at::Tensor& terms);

// Lets neurons that put less than `min_magnitude` [neurons] into W_out put in nothing; their rows
// of W_out are not read.
ExpertWeights WithMinMagnitude(ExpertWeights experts, const at::Tensor& min_magnitude);

}  // namespace moefy::runtime
