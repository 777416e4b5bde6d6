// Matrices laid out in tiles of rows, as the first product reads them (runtime/first_product.h):
// how many bytes a row takes in each format, and the packing. Pure functions.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/weight_arena.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

// Rows are processed in tiles of at most so many, the last one narrower.
inline constexpr int64_t kTileNeurons = 32;
// A tile's rows are stored transposed, in blocks of up to so many: a cache line of F32.
inline constexpr int64_t kBlockNeurons = 16;
// INT4: so many neighbouring weights of a row share a scale and a minimum.
inline constexpr int64_t kInt4Group = 32;
// INT4: bytes of a group: 32 codes of 4 bits, an F16 scale, an F16 minimum.
inline constexpr int64_t kInt4GroupBytes = 20;

// Bytes of a row of `columns` weights. With `block` the rows of a block:
//   F32, BF16, F16  [columns][block]
//   INT8            [columns / 4][block][4], each value + 128; zeros after the last column
//   INT4            [columns / 32] groups of: [4][block][4] bytes, of which byte j of the p-th four
//                   holds the codes of columns 4 p + j (low) and 16 + 4 p + j (high); scale[block];
//                   minimum[block]. A weight is code * scale + minimum; both are 0 after the last
//                   column.
int64_t TileRowBytes(WeightFormat format, int64_t columns);

// A matrix whose rows or columns may be strided (W_out usually is a view).
struct MatrixView {
  explicit MatrixView(const at::Tensor& tensor)
      : data(tensor.data_ptr<float>()), row(tensor.stride(0)), column(tensor.stride(1)) {}
  float operator()(int64_t r, int64_t c) const { return data[r * row + c * column]; }
  const float* data;
  int64_t row, column;
};

// INT8 as it is stored. A NaN becomes 0.
uint8_t StoredInt8(float value, float inverse_scale);

// Packs rows [first, first + width), at most a tile, to `to`. INT8 writes each row's largest
// absolute value / 127 to `scales` [width]; other formats do not use it.
void PackTile(const MatrixView& from, int64_t first, int64_t width, int64_t columns,
              WeightFormat format, float* scales, std::byte* to);

// Packs all rows, in parallel; `scales` [rows] for INT8.
void PackTiles(const at::Tensor& w, WeightFormat format, float* scales, std::byte* to);

// A linear map's weight [out, in], in tiles.
struct LinearTiles {
  int64_t out = 0, in = 0;
  WeightFormat format = WeightFormat::kInt8;
  const std::byte* w = nullptr;
  const float* scale = nullptr;  // [out], INT8 only
  std::shared_ptr<void> storage;
  int64_t bytes = 0;
};
// Where the slot's memory is filled already, only the weight's shape is looked at.
LinearTiles PackLinearTiles(const at::Tensor& weight, WeightFormat format,
                            const PackedSlot& slot = {});

}  // namespace moefy::runtime
