// What a decoder remembers between steps. Thread-safety: one decoding at a time.
#pragma once

#include <vector>

#include "model/decode_step.h"
#include "model/layers.h"

namespace moefy::model {

struct DecodingState {
  int64_t length = 0;             // columns decoded so far
  std::vector<int64_t> counts;    // [batch] tokens that positions count
  at::Tensor key_bias;            // [batch, 1, capacity, 1], undefined without padding
  std::vector<KeysValues> self;   // per layer, with room for more columns
  std::vector<KeysValues> cross;  // per layer, of the encoder's output; filled when first used
  std::vector<at::Tensor> cells;  // [batch, hidden] per layer, of layers that recur
  at::Tensor memory;              // encoder's output, packed; dropped once `cross` is filled
  Packing memory_packing;
  StepBuffers buffers;

  // Appends the keys and values of further columns to a layer's; returns all of them.
  KeysValues Append(size_t layer_idx, const KeysValues& more);
  // Appends what is added to the scores of further columns; returns that of all columns,
  // [batch, 1, 1, columns], or undefined if nothing is added.
  at::Tensor AppendKeyBias(const Packing& packing);
};

// Makes room for `wanted` columns (dimension 2) by doubling, and keeps the first `length`. `buffer`
// must have a shape.
void GrowColumns(at::Tensor& buffer, int64_t length, int64_t wanted);

}  // namespace moefy::model
