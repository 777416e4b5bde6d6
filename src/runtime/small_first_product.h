// The inner loop behind W_in for small experts (runtime/small_tiles.h): as runtime/first_product.h,
// but for a run of experts at once, with h in rows as narrow as an expert. The loop is compiled for
// several instruction sets; the first call chooses the best one that the machine has. A result
// depends only on the token and the expert it belongs to. Pure function.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/activation_map.h"
#include "runtime/expert_weights.h"
#include "runtime/quantize.h"
#include "runtime/scratch.h"

namespace moefy::runtime {

struct SmallFirstArgs {
  const ExpertWeights* experts = nullptr;
  // Row of token t at x + t * x_stride, zeros up to a multiple of 16.
  const float* x = nullptr;
  int64_t x_stride = 0;
  QuantizedRows quantized;          // INT8: the rows in place of x
  const int32_t* tokens = nullptr;  // what the tiles' pairs point into
  std::span<const Tile> tiles;      // whose slots follow one another
  // Rows [slots][SmallStride(neurons_per_expert)]. Up to kSmallSlack floats past the last tile's
  // last row are overwritten.
  float* h = nullptr;
  float* gate = nullptr;     // likewise; for gated FFNs
  uint32_t* live = nullptr;  // [slots] or null. Bit n is set where neuron n is not zero
};

void SmallFirstProduct(const SmallFirstArgs& args);

}  // namespace moefy::runtime
