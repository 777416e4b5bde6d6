#include "runtime/packed_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>

#include "base/buffer.h"
#include "moefy/base/error.h"
#include "runtime/dot_rows.h"
#include "runtime/first_product.h"
#include "runtime/quantize.h"
#include "runtime/tile_items.h"

namespace moefy::runtime {
namespace {

// A thread takes so many rows of weights at a time.
constexpr int64_t kRowsPerItem = 64;
// So many rows are widened to F32 at a time where there are many rows of x.
constexpr int64_t kRowsWidened = 4096;
// Up to so many rows of x, in groups of kDotRows, are faster than BLAS, for which narrow weights
// have to be widened first (docs/performance.md).
constexpr int64_t kFewRows = 32;
// Below this much work starting threads costs more than it gives.
constexpr int64_t kSerialWeights = 1 << 15;
// INT8, INT4: so few rows of x are quantized before the threads start.
constexpr int64_t kQuantizeAloneRows = 8;

// Tiles of about so many bytes, but at least two, stay in the cache while rows go by.
constexpr int64_t kItemBytes = int64_t{9} << 16;
// From so many rows on, rows of x that compete for the same cache lines are in each other's way.
constexpr int64_t kCopyRows = 12;

// Kept between the calls of a thread so that no call allocates.
struct TileScratch {
  QuantizedBuffer quantized;
  std::vector<float> x;           // [rows][columns and some]
  std::vector<int32_t> all_rows;  // 0, 1, 2, ...
};
TileScratch& ThreadTileScratch() {
  thread_local TileScratch scratch;
  return scratch;
}

// FirstProduct writes whole blocks and reads biases past their end: the last tile of a map whose
// rows do not fill it is computed on copies.
void WriteNarrowTile(const FirstProductArgs& tile) {
  FirstProductArgs args = tile;
  float out[kTileNeurons], bias[kTileNeurons] = {};
  if (args.b_in) std::copy_n(tile.b_in, tile.width, bias);
  if (args.b_in) args.b_in = bias;
  args.h = out;
  args.h_stride = kTileNeurons;
  args.num_tokens = 1;
  for (int64_t i = 0; i < tile.num_tokens; ++i) {
    args.tokens = tile.tokens + i;
    FirstProduct(args);
    std::copy_n(out, tile.width, tile.h + i * tile.h_stride);
  }
}

}  // namespace

PackedLinear::PackedLinear(const at::Tensor& weight, const at::Tensor& bias, WeightFormat format,
                           const PackedSlot& slot)
    : rows_(weight.size(0)), columns_(weight.size(1)), format_(format), bias_(bias) {
  MOEFY_CHECK(weight.dim() == 2 && weight.scalar_type() == at::kFloat);
  switch (format) {
    case WeightFormat::kF32:
      tiles_ = PackLinearTiles(weight, format);
      break;
    case WeightFormat::kBf16:
      weight_ = weight.to(at::kBFloat16).contiguous();
      break;
    case WeightFormat::kF16:
      weight_ = weight.to(at::kHalf).contiguous();
      break;
    case WeightFormat::kInt8:
    case WeightFormat::kInt4:
      tiles_ = PackLinearTiles(weight, format, slot);
      break;
  }
}

int64_t PackedLinear::WeightBytes() const {
  return IsQuantized(format_) ? tiles_.bytes : rows_ * columns_ * BytesPerWeight(format_);
}

at::Tensor PackedLinear::Forward(const at::Tensor& x) const {
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == columns_ && x.scalar_type() == at::kFloat);
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty({x.size(0), rows_}, x.options());
  ForwardInto(in.data_ptr<float>(), x.size(0), y.data_ptr<float>());
  return y;
}

void PackedLinear::ForwardInto(const float* x, int64_t rows, float* y) const {
  if (rows == 0) return;
  if (format_ == WeightFormat::kF32) return ForwardFloat(x, rows, y);
  if (IsQuantized(format_)) {
    const QuantizedRows quantized =
        ThreadTileScratch().quantized.Rows(rows, QuantizedSize(columns_));
    Quantize(x, rows, quantized);
    return ForwardQuantized(quantized, rows, y);
  }
  if (rows <= kFewRows) return ForwardFew(x, rows, y);
  at::Tensor out = at::from_blob(y, {rows, rows_}, at::kFloat);
  ForwardMany(at::from_blob(const_cast<float*>(x), {rows, columns_}, at::kFloat), out);
}

void PackedLinear::Quantize(const float* x, int64_t rows, const QuantizedRows& quantized) const {
  const int threads = rows <= kQuantizeAloneRows ? 1 : at::get_num_threads();
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t row = 0; row < rows; ++row) {
    QuantizeRow(x + row * columns_, columns_, quantized, row);
  }
}

void PackedLinear::ForwardFloat(const float* x, int64_t rows, float* y) const {
  FirstProductArgs args;
  args.x = x;
  args.x_stride = columns_;
  // Rows a multiple of 4 KB apart would compete for the same few cache lines.
  if (rows > kCopyRows && columns_ % 256 == 0) {
    args.x_stride = columns_ + 16;
    std::vector<float>& copy = ThreadTileScratch().x;
    GrowTo(copy, rows * args.x_stride);
    float* const to = copy.data();
    const int64_t stride = args.x_stride;
#pragma omp parallel for schedule(static) num_threads(at::get_num_threads())
    for (int64_t row = 0; row < rows; ++row) {
      std::copy_n(x + row * columns_, columns_, to + row * stride);
    }
    args.x = to;
  }
  RunTiles(args, rows, y);
}

void PackedLinear::ForwardQuantized(const QuantizedRows& x, int64_t rows, float* y) const {
  FirstProductArgs args;
  args.quantized = x;
  RunTiles(args, rows, y);
}

// `x` has what is multiplied.
void PackedLinear::RunTiles(const FirstProductArgs& x, int64_t rows, float* y) const {
  std::vector<int32_t>& all = ThreadTileScratch().all_rows;
  while (static_cast<int64_t>(all.size()) < std::min(rows, TileItems::kRowGroup)) {
    all.push_back(static_cast<int32_t>(all.size()));
  }
  const int32_t* const all_rows = all.data();
  const float* const bias = bias_.defined() ? bias_.data_ptr<float>() : nullptr;
  const int64_t tiles = (rows_ + kTileNeurons - 1) / kTileNeurons;
  TileItems items{rows, tiles};
  const int64_t tile_bytes = kTileNeurons * TileRowBytes(format_, columns_);
  items.tiles_per_item = std::clamp<int64_t>(kItemBytes / tile_bytes, 2, TileItems::kTiles);
  const int64_t num_items = items.count();
  const int threads = rows_ * columns_ < kSerialWeights ? 1 : at::get_num_threads();
  const auto run = [&](int64_t row, int64_t count, int64_t tile) {
    const int64_t n = tile * kTileNeurons;
    FirstProductArgs args = x;
    if (x.x) {
      args.x += row * x.x_stride;
    } else {
      args.quantized = x.quantized.From(row);
    }
    args.tokens = all_rows;
    args.num_tokens = count;
    args.hidden = columns_;
    args.format = format_;
    args.map = {Map::kNone};
    args.width = std::min(kTileNeurons, rows_ - n);
    args.w_in = tiles_.w + n * TileRowBytes(format_, columns_);
    args.in_scale = tiles_.scale ? tiles_.scale + n : nullptr;
    args.b_in = bias ? bias + n : nullptr;
    args.h = y + row * rows_ + n;
    args.h_stride = rows_;
    if (args.width % kBlockNeurons == 0) {
      FirstProduct(args);
    } else {
      WriteNarrowTile(args);
    }
  };
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
  for (int64_t item = 0; item < num_items; ++item) items.ForEach(item, run);
}

void PackedLinear::ForwardFew(const float* x, int64_t rows, float* y) const {
  if (rows == 0) return;
  DotRowsArgs all;
  all.columns = columns_;
  all.format = format_;
  all.y_stride = rows_;
  const auto* const weights = static_cast<const std::byte*>(weight_.data_ptr());
  const float* const bias = bias_.defined() ? bias_.data_ptr<float>() : nullptr;
  const int64_t row_bytes = columns_ * BytesPerWeight(format_);
  const int64_t items = (rows_ + kRowsPerItem - 1) / kRowsPerItem;
  const int threads = rows_ * columns_ < kSerialWeights ? 1 : at::get_num_threads();
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t item = 0; item < items; ++item) {
    const int64_t first = item * kRowsPerItem;
    DotRowsArgs args = all;
    args.num_rows = std::min(kRowsPerItem, rows_ - first);
    args.w = weights + first * row_bytes;
    args.bias = bias ? bias + first : nullptr;
    for (int64_t row = 0; row < rows; row += kDotRows) {
      args.x = x + row * columns_;
      args.num_x = std::min(kDotRows, rows - row);
      args.y = y + row * rows_ + first;
      DotRows(args);
    }
  }
}

// Multiplies through BLAS; weights are widened to F32 part by part.
void PackedLinear::ForwardMany(const at::Tensor& x, at::Tensor& y) const {
  const auto* const weights = static_cast<const std::byte*>(weight_.data_ptr());
  const int64_t row_bytes = columns_ * BytesPerWeight(format_);
  at::Tensor wide = at::empty({std::min(rows_, kRowsWidened), columns_}, x.options());
  float* const out = wide.data_ptr<float>();
  for (int64_t first = 0; first < rows_; first += kRowsWidened) {
    const int64_t count = std::min(kRowsWidened, rows_ - first);
    at::parallel_for(0, count, 16, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        Widen(weights + (first + r) * row_bytes, columns_, format_, out + r * columns_);
      }
    });
    y.narrow(1, first, count).copy_(at::mm(x, wide.narrow(0, 0, count).t()));
  }
  if (bias_.defined()) y.add_(bias_);
}

}  // namespace moefy::runtime
