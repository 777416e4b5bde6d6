#include "runtime/packed_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>

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
constexpr int64_t kFewRows = 24;
constexpr int64_t kFewRowsNarrow = 32;
// Below this much work starting threads costs more than it gives.
constexpr int64_t kSerialWeights = 1 << 15;
// INT8, INT4: so few rows of x are quantized before the threads start.
constexpr int64_t kQuantizeAloneRows = 8;

// Kept between the calls of a thread so that no call allocates.
struct Int8Scratch {
  QuantizedBuffer x;
  std::vector<int32_t> all_rows;  // 0, 1, 2, ...
};
Int8Scratch& ThreadInt8Scratch() {
  thread_local Int8Scratch scratch;
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
      weight_ = weight.contiguous();
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
  return weight_.defined() ? static_cast<int64_t>(weight_.nbytes()) : tiles_.bytes;
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
  if (IsQuantized(format_)) {
    const QuantizedRows quantized = ThreadInt8Scratch().x.Rows(rows, QuantizedSize(columns_));
    Quantize(x, rows, quantized);
    return ForwardQuantized(quantized, rows, y);
  }
  const bool few = rows <= (format_ == WeightFormat::kF32 ? kFewRows : kFewRowsNarrow);
  if (few) return ForwardFew(x, rows, y);
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

void PackedLinear::ForwardQuantized(const QuantizedRows& x, int64_t rows, float* y) const {
  std::vector<int32_t>& all = ThreadInt8Scratch().all_rows;
  while (static_cast<int64_t>(all.size()) < std::min(rows, TileItems::kRowGroup)) {
    all.push_back(static_cast<int32_t>(all.size()));
  }
  const int32_t* const all_rows = all.data();
  const float* const bias = bias_.defined() ? bias_.data_ptr<float>() : nullptr;
  const int64_t tiles = (rows_ + kTileNeurons - 1) / kTileNeurons;
  const TileItems items{rows, tiles};
  const int64_t num_items = items.count();
  const int threads = rows_ * columns_ < kSerialWeights ? 1 : at::get_num_threads();
  const auto run = [&](int64_t row, int64_t count, int64_t tile) {
    const int64_t n = tile * kTileNeurons;
    FirstProductArgs args;
    args.quantized = x.From(row);
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

// Multiplies through BLAS; other formats are widened to F32 part by part.
void PackedLinear::ForwardMany(const at::Tensor& x, at::Tensor& y) const {
  if (format_ == WeightFormat::kF32) {
    if (bias_.defined()) {
      at::addmm_out(y, bias_, x, weight_.t());
    } else {
      at::mm_out(y, x, weight_.t());
    }
    return;
  }
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
