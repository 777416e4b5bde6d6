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

// One of a token's experts.
struct ExpertPair {
  int32_t slot;  // its row in Scratch::h
  int32_t expert;
};

// Some pairs of one expert.
struct PairRange {
  int32_t expert;
  int32_t begin, count;  // in Scratch::tokens
  int32_t slot;          // of the first pair's row in Scratch::h
};

struct Scratch {
  std::vector<int32_t> chosen;   // [tokens][k] expert or -1
  std::vector<int32_t> ends;     // [experts] end of each expert's pairs
  std::vector<uint64_t> active;  // [experts] bits: has pairs
  std::vector<int32_t> tokens;   // [pairs] sorted by expert, then token
  std::vector<Tile> tiles;       // in the order of their neurons
  std::vector<float> h;          // [slots][kTileNeurons]
  QuantizedBuffer h_quantized;   // INT8, INT4: in place of h
  std::vector<uint32_t> live;    // [slots]
  std::vector<float> x;          // [tokens][x_stride]
  QuantizedBuffer x_quantized;   // INT8, INT4: [tokens]
  std::vector<float> y;          // [threads][panels][tokens][kPanelColumns]
  // Small experts' (runtime/small_call.h):
  std::vector<float> gate;           // [slots], as h
  std::vector<int32_t> cursors;      // [tiles] next pair
  std::vector<PairRange> ranges;     // by block of tokens, then expert
  std::vector<size_t> range_ends;    // [blocks]
  std::vector<ExpertPair> pairs;     // [tokens][experts of a token]
  std::vector<int32_t> counts;       // [tokens] of pairs
  std::vector<int32_t> units;        // [tokens][units of W_out]
  std::vector<int32_t> unit_counts;  // [tokens]
  std::vector<float> gathered;       // [threads][hidden units of a token]
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
