// The inner loops of the sparse FFN, compiled for several instruction sets; the best one the
// machine has is chosen at the first call. Thread-safety: pure functions.
// A result depends only on the token and the expert it belongs to, never on how many tokens are
// given together: every sum runs over the same terms in the same order.
#pragma once

#include <cstdint>

#include "moefy/model/config.h"

namespace moefy::runtime {

// h = act(x W_in^T + b_in), or act(x W_gate^T) * (x W_in^T + b_in), of some tokens and one tile.
struct FirstProductArgs {
  const float* x = nullptr;  // row of token t at x + t * x_stride
  int64_t x_stride = 0;
  const int32_t* tokens = nullptr;  // [num_tokens]
  int64_t num_tokens = 0;
  int64_t hidden = 0;
  int64_t width = 0;              // neurons of the tile
  const float* w_in = nullptr;    // [blocks][hidden][block width]; readable 128 bytes past its end
  const float* w_gate = nullptr;  // as w_in, or null
  const float* b_in = nullptr;    // [width] or null; readable likewise
  model::Activation activation = model::Activation::kRelu;
  float* h = nullptr;        // [num_tokens][kTileNeurons]
  uint32_t* live = nullptr;  // [num_tokens], bit n: neuron n is not zero; always set unless ReLU
};

// y += h W_out of some tokens, one tile and one panel. Neurons that are zero are not read.
struct SecondProductArgs {
  const float* h = nullptr;        // [num_tokens][kTileNeurons]
  const uint32_t* live = nullptr;  // [num_tokens]
  const int32_t* tokens = nullptr;
  int64_t num_tokens = 0;
  int64_t width = 0;             // neurons of the tile
  int64_t columns = 0;           // of the panel, a multiple of 16
  const float* w_out = nullptr;  // [width][columns]
  float* y = nullptr;            // row of token t at y + t * kPanelColumns
  bool sparse = false;           // many bits of `live` are not set
};

void FirstProduct(const FirstProductArgs& args);
void SecondProduct(const SecondProductArgs& args);
const char* ChosenInstructionSet();

}  // namespace moefy::runtime
