// What a decoder remembers between steps.
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
  at::Tensor memory;              // encoder's output, packed; dropped once `cross` is filled
  Packing memory_packing;
  StepBuffers buffers;

  // Puts the keys and values of further columns behind a layer's; returns all of them.
  KeysValues Append(size_t layer_idx, const KeysValues& more);
  // The same of what is added to their scores, [batch, 1, 1, columns]; undefined: nothing.
  at::Tensor AppendKeyBias(const Packing& packing);
};

// Columns are dimension 2: room for `wanted`, of which the first `length` are kept. Grows by
// doubling, from what has a shape.
void GrowColumns(at::Tensor& buffer, int64_t length, int64_t wanted);

}  // namespace moefy::model
