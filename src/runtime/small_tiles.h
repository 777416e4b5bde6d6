// Small experts, of fewer neurons than a tile: how their weights lie, so that no lane of a vector
// is empty and no sum is cut short because an expert ends. Pure functions.
//
// W_in: an expert's neurons are cut into blocks of a power of two, the largest first (14 = 8 + 4 +
// 2); an odd one gets a neuron of zeros. A block of `width` neurons takes s = kSmallLanes / width
// columns (INT8: quads of columns) at a time, one for each lane that would otherwise be empty:
//   F32, BF16, F16  [columns / s][width][s]
//   INT8            [columns / (4 s)][width][s][4], each value + 128
// with zeros after the last column. The s partial sums of a neuron are added up in the end.
//
// W_out: F32, BF16, F16 in panels of columns through all experts, which are read one after the
// other and again from the L2 cache:
//   [panels][experts][width][kSmallPanelColumns], the last panel narrower
// INT8 in strips of columns through all
// experts, because a strip of all of them fits into the L1 cache, where each token picks its own.
// A unit is four neurons of an expert, or the two that an expert of two has:
//   [strips][experts][units][kStripColumns][4], zeros for the neurons that a unit lacks
//   [strips][experts][kStripColumns][2], columns in the order of PairColumn
// each value + 128.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "runtime/weight_format.h"
#include "runtime/weight_tiles.h"

namespace moefy::runtime {

// Lanes that are multiplied with the same weights' worth of a token: two vectors of AVX-512, so
// that what is loaded of a token is used twice.
inline constexpr int64_t kSmallLanes = 32;
// Neurons of an expert, with the one of zeros.
inline int64_t SmallNeurons(int64_t neurons_per_expert) {
  return neurons_per_expert + neurons_per_expert % 2;
}
// Neurons of the next block when `rest` are left.
inline int64_t SmallBlock(int64_t rest) {
  const auto power = std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(rest, 2)));
  return std::min(kSmallLanes / 2, static_cast<int64_t>(power));
}
// Floats from one token's hidden units of an expert to the next one's.
inline int64_t SmallStride(int64_t neurons_per_expert) {
  return static_cast<int64_t>(
      std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(neurons_per_expert, 2))));
}
// Kernels write whole vectors: so many floats after the last row may be overwritten.
inline constexpr int64_t kSmallSlack = 16;

// Bytes of a row of W_in.
int64_t SmallRowBytes(WeightFormat format, int64_t columns);
// Packs rows [first, first + width) of W_in, one expert, to `to`; `scales` as PackTile.
void PackSmallTile(const MatrixView& from, int64_t first, int64_t width, int64_t columns,
                   WeightFormat format, float* scales, std::byte* to);

inline constexpr int64_t kSmallPanelColumns = 64;
inline constexpr int64_t kStripColumns = 32;
// Neurons of a unit of W_out in INT8.
inline int64_t UnitNeurons(int64_t neurons_per_expert) { return neurons_per_expert == 2 ? 2 : 4; }
inline int64_t UnitBytes(int64_t neurons_per_expert) {
  return UnitNeurons(neurons_per_expert) * kStripColumns;
}
inline int64_t UnitsPerExpert(int64_t neurons_per_expert) { return (neurons_per_expert + 3) / 4; }
// The column of a strip that is stored as the `position`-th: kernels interleave two experts' bytes
// within runs of 8, lower and upper halves apart.
inline int64_t PairColumn(int64_t position) {
  return position / 8 * 4 + position % 4 + (position % 8 < 4 ? 0 : kStripColumns / 2);
}
// Packs W_out of rows [experts * neurons_per_expert], `columns` wide, whose scales are given.
void PackStrips(const MatrixView& from, int64_t num_experts, int64_t neurons_per_expert,
                int64_t columns, const float* scales, uint8_t* to);
int64_t StripsBytes(int64_t num_experts, int64_t neurons_per_expert, int64_t columns);

}  // namespace moefy::runtime
