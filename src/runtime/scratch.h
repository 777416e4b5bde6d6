// The buffers of one call of the sparse FFN, kept between the calls of a thread so that no call
// allocates.
#pragma once

#include <cstdint>
#include <vector>

#include "base/buffer.h"
#include "runtime/quantize.h"

namespace moefy::runtime {

// A part of the first product: some tokens of one expert, and one tile of its neurons.
struct Tile {
  int64_t expert;
  int64_t first_neuron;  // in the FFN
  int64_t width;
  int64_t pairs_begin, pairs_end;  // in Scratch::tokens
  int64_t slot;                    // of the first pair's row in Scratch::h
};

struct Scratch {
  std::vector<int32_t> chosen;  // [tokens][k] expert or -1
  std::vector<int64_t> ends;    // [experts + 1] end of each expert's pairs
  std::vector<int32_t> tokens;  // [pairs] sorted by expert, then token
  std::vector<Tile> tiles;      // in the order of their neurons
  std::vector<float> h;         // [slots][kTileNeurons]
  QuantizedBuffer h_quantized;  // INT8, INT4: in place of h
  std::vector<uint32_t> live;   // [slots]
  std::vector<float> x;         // [tokens][x_stride]
  QuantizedBuffer x_quantized;  // INT8, INT4: [tokens]
  std::vector<float> y;         // [threads][panels][tokens][kPanelColumns]
  // The router's:
  std::vector<int32_t> all_tokens;   // 0, 1, 2, ...
  std::vector<float> inverse_norms;  // [tokens]
  std::vector<float> hidden;         // [tokens][experts, whole tiles]
  std::vector<float> scores;         // likewise
  std::vector<uint64_t> keys;        // [threads][experts]
};

// The calling thread's own.
inline Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

}  // namespace moefy::runtime
