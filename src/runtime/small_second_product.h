// The inner loops behind W_out for small experts (runtime/small_tiles.h): y = b_out + h W_out. The
// loops are compiled for several instruction sets; the first call chooses the best one that the
// machine has. A result depends only on the token and the experts it belongs to, never on how many
// tokens are given together. Pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/expert_weights.h"
#include "runtime/quantize.h"
#include "runtime/scratch.h"

namespace moefy::runtime {

// F32, BF16, F16: adds one panel of columns of all experts, expert by expert, to so few tokens that
// their part of y stays in the L1 cache.
struct SmallSecondArgs {
  const ExpertWeights* experts = nullptr;
  const float* h = nullptr;         // [slots][SmallStride(neurons_per_expert)]
  const uint32_t* live = nullptr;   // [slots]; null: no neuron is left out
  const int32_t* tokens = nullptr;  // what the ranges point into
  std::span<const PairRange> ranges;
  int64_t column = 0, columns = 0;  // the panel's
  float* y = nullptr;               // row of token t at y + t * kSmallPanelColumns
};
void SmallSecondProduct(const SmallSecondArgs& args);

// INT8: computes one strip of columns, token by token.
struct SmallStripArgs {
  const uint8_t* w = nullptr;  // the strip's, all experts
  bool pairs = false;          // units are of two neurons
  int64_t num_tokens = 0;
  const int32_t* counts = nullptr;  // [num_tokens] units that a token runs
  const int32_t* units = nullptr;   // [num_tokens][unit_stride] where each begins, in bytes from w
  int64_t unit_stride = 0;
  QuantizedRows h;               // row of each token: its units' neurons
  const float* start = nullptr;  // [kStripColumns] or, with a stride, of each token
  int64_t start_stride = 0;
  const float* scale = nullptr;  // [kStripColumns] what sums are multiplied by
  float* y = nullptr;            // row of token t at y + t * y_stride
  int64_t y_stride = 0;
  int64_t columns = 0;  // to be written
};
void SmallStrip(const SmallStripArgs& args);

}  // namespace moefy::runtime
