// The inner loops of the sparse FFN, compiled for several instruction sets; the best one the
// machine has is chosen at the first call. Thread-safety: pure functions.
// A result depends only on the token and the expert it belongs to, never on how many tokens are
// given together: every sum runs over the same terms in the same order.
#pragma once

#include <cstdint>

#include "moefy/model/config.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

// What happens to a sum: an FFN's activation, or what a router does.
struct Map {
  enum Kind {
    kRelu,
    kRelu2,
    kRelu6,
    kFatRelu,
    kLeakyRelu,
    kGelu,
    kGelu10,
    kGeluTanh,
    kQuickGelu,
    kSilu,
    kMish,
    kTanh,
    kNone
  };
  Kind kind = kRelu;
  float threshold = 0;       // kFatRelu
  bool on_both = false;      // also of what is multiplied with the gate
  bool makes_zeros = false;  // most results are exactly zero
};
Map MapOf(const model::Activation& activation);

// h = map(s x W_in^T + b_in), or map(x W_gate^T) * (x W_in^T + b_in), the latter mapped too where
// the map is on both, of some tokens and one tile.
struct FirstProductArgs {
  const float* x = nullptr;  // row of token t at x + t * x_stride
  int64_t x_stride = 0;
  const int32_t* tokens = nullptr;  // [num_tokens]
  int64_t num_tokens = 0;
  const float* x_scale = nullptr;  // s of token t at x_scale[t]; null: 1
  int64_t hidden = 0;
  int64_t width = 0;  // neurons of the tile
  WeightFormat format = WeightFormat::kF32;
  const void* w_in = nullptr;    // [blocks][hidden][block width]; readable 128 bytes past its end
  const void* w_gate = nullptr;  // as w_in, or null
  // What the rows of the matrices are multiplied by, [width] or null; readable likewise.
  const float* in_scale = nullptr;
  const float* gate_scale = nullptr;
  const float* out_scale = nullptr;
  const float* b_in = nullptr;           // [width] or null; readable likewise
  const float* b_gate = nullptr;         // as b_in, or null
  const float* min_magnitude = nullptr;  // [width] or null; less of a neuron is none. Likewise
  Map map;
  float* h = nullptr;  // row of the i-th of `tokens` at h + i * h_stride; whole blocks written
  int64_t h_stride = 0;
  // [num_tokens] or null, bit n: neuron n is not zero. All, unless the map or min_magnitude makes
  // zeros.
  uint32_t* live = nullptr;
};

// y += h W_out of some tokens, one tile and one panel. Neurons that are zero are not read.
struct SecondProductArgs {
  const float* h = nullptr;        // [num_tokens][kTileNeurons]
  const uint32_t* live = nullptr;  // [num_tokens]
  const int32_t* tokens = nullptr;
  int64_t num_tokens = 0;
  int64_t width = 0;    // neurons of the tile
  int64_t columns = 0;  // of the panel, a multiple of 16
  WeightFormat format = WeightFormat::kF32;
  const void* w_out = nullptr;  // [width][columns]
  float* y = nullptr;           // row of token t at y + t * kPanelColumns
  bool sparse = false;          // many bits of `live` are not set
};

// y = x W^T of some rows of W, stored row by row, for a few rows of x.
struct DotRowsArgs {
  const float* x = nullptr;  // [num_x][columns]
  int64_t num_x = 0;         // at most kDotRows
  int64_t columns = 0;
  WeightFormat format = WeightFormat::kF32;
  const void* w = nullptr;       // [num_rows][columns]
  const float* scale = nullptr;  // [num_rows] or null
  const float* bias = nullptr;   // [num_rows] or null
  int64_t num_rows = 0;
  float* y = nullptr;  // y[i * y_stride + row]
  int64_t y_stride = 0;
};
inline constexpr int64_t kDotRows = 6;

void FirstProduct(const FirstProductArgs& args);
void SecondProduct(const SecondProductArgs& args);
void DotRows(const DotRowsArgs& args);
// 1 / max(|x|, 1e-12)
float InverseNorm(const float* x, int64_t size);
// Another format to F32, times `scale`.
void Widen(const void* from, int64_t count, WeightFormat format, float scale, float* to);
const char* ChosenInstructionSet();

}  // namespace moefy::runtime
