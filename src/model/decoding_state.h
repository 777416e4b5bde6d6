// What a decoder remembers between steps.
#pragma once

#include <vector>

#include "model/layers.h"
#include "model/tensor_pool.h"

namespace moefy::model {

struct DecodingState {
  int64_t batch = 0;
  int64_t length = 0;             // columns decoded so far
  at::Tensor counts;              // [batch] tokens that positions count; undefined: columns
  at::Tensor key_bias;            // [batch, 1, 1, length], undefined without padding
  std::vector<KeysValues> self;   // per layer, with room for more columns
  std::vector<KeysValues> cross;  // per layer, of the encoder's output; filled when first used
  at::Tensor memory;              // encoder's output, packed; dropped once `cross` is filled
  Packing memory_packing;
  TensorPool pool;

  // Where a step's tensors come from: every step but the first, which reads the prompt and makes
  // what stays, repeats the one before.
  const TensorPool* StepPool() const { return length > 0 ? &pool : nullptr; }

  // Puts the keys and values of further columns behind a layer's; returns all of them.
  KeysValues Append(size_t layer_idx, const KeysValues& more);
};

}  // namespace moefy::model
