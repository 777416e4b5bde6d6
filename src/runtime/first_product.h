// The inner loop behind W_in: h = map(s x W_in^T + b_in), or map(x W_gate^T) * (x W_in^T + b_in),
// where the second factor is mapped too if the map is on both. One call computes some tokens and
// one tile of neurons (runtime/expert_weights.h). The loop is compiled for several instruction
// sets; the first call chooses the best one that the machine has. A result depends only on the
// token and the expert it belongs to, never on how many tokens are given together: every sum runs
// over the same terms in the same order. Pure function.
#pragma once

#include <cstdint>

#include "runtime/activation_map.h"
#include "runtime/quantize.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

struct FirstProductArgs {
  const float* x = nullptr;  // row of token t at x + t * x_stride
  int64_t x_stride = 0;
  QuantizedRows quantized;          // INT8, INT4: the rows in place of x
  const int32_t* tokens = nullptr;  // [num_tokens]
  int64_t num_tokens = 0;
  const float* x_scale = nullptr;  // s of token t at x_scale[t]; null: 1
  int64_t hidden = 0;
  int64_t width = 0;  // neurons of the tile
  WeightFormat format = WeightFormat::kF32;
  // A tile (runtime/weight_tiles.h), readable 128 bytes past its end.
  const void* w_in = nullptr;
  const void* w_gate = nullptr;  // as w_in, or null
  // Scales of the matrices' rows, [width] or null; readable as far past their end.
  const float* in_scale = nullptr;
  const float* gate_scale = nullptr;
  const float* b_in = nullptr;           // [width] or null; readable as far
  const float* b_gate = nullptr;         // as b_in, or null
  const float* min_magnitude = nullptr;  // [width] or null; a neuron that gives less gives 0
  Map map;
  // Row of the i-th of `tokens` at h + i * h_stride, whole blocks written; or, if h is null, one
  // group of kTileNeurons in 8 bits of each of the rows [num_tokens].
  float* h = nullptr;
  int64_t h_stride = 0;
  QuantizedRows h_quantized;
  // [num_tokens] or null. Bit n is set where neuron n is not zero; all bits are set unless the map
  // or min_magnitude makes zeros.
  uint32_t* live = nullptr;
};

void FirstProduct(const FirstProductArgs& args);

}  // namespace moefy::runtime
