// The inner loop behind W_out: y += h W_out. One call computes some tokens, one tile of neurons and
// one panel of columns (runtime/expert_weights.h). Weights of neurons that are zero are not read.
// The loop is compiled for several instruction sets; the first call chooses the best one that the
// machine has. A result depends only on the token and the expert it belongs to, never on how many
// tokens are given together: every sum runs over the same terms in the same order. Pure function.
#pragma once

#include <cstdint>

#include "runtime/quantize.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

struct SecondProductArgs {
  const float* h = nullptr;        // [num_tokens][kTileNeurons]
  QuantizedRows h_quantized;       // INT8: in place of h
  const uint32_t* live = nullptr;  // [num_tokens]
  const int32_t* tokens = nullptr;
  int64_t num_tokens = 0;
  int64_t width = 0;    // neurons of the tile
  int64_t columns = 0;  // of the panel, a multiple of 16
  WeightFormat format = WeightFormat::kF32;
  const void* w_out = nullptr;  // [width][columns]; INT8: value + 128
  float* y = nullptr;           // row of token t at y + t * kPanelColumns
  bool sparse = false;          // many bits of `live` are not set
};

void SecondProduct(const SecondProductArgs& args);

}  // namespace moefy::runtime
