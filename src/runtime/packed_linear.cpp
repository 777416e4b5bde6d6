#include "runtime/packed_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>

#include "moefy/base/error.h"
#include "runtime/dot_rows.h"

namespace moefy::runtime {
namespace {

// A thread takes so many rows of weights at a time.
constexpr int64_t kRowsPerItem = 64;
// So many rows are quantized, or widened to F32 where there are many rows of x, at a time.
constexpr int64_t kRowsWidened = 4096;
// Up to so many rows of x, in groups of kDotRows, are faster than BLAS, for which narrow weights
// have to be widened first (docs/performance.md).
constexpr int64_t kFewRows = 24;
constexpr int64_t kFewRowsNarrow = 32;
// Below this much work starting threads costs more than it gives.
constexpr int64_t kSerialWeights = 1 << 15;

}  // namespace

PackedLinear::PackedLinear(const at::Tensor& weight, const at::Tensor& bias, WeightFormat format)
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
      scale_ = at::empty({rows_}, at::kFloat);
      weight_ = at::empty({rows_, columns_}, at::kChar);
      // In parts, so that temporaries do not add up to another table of embeddings.
      for (int64_t row = 0; row < rows_; row += kRowsWidened) {
        const int64_t count = std::min(kRowsWidened, rows_ - row);
        const at::Tensor part = weight.narrow(0, row, count), scale = scale_.narrow(0, row, count);
        scale.copy_(part.abs().amax(1).div_(127));
        weight_.narrow(0, row, count).copy_((part / scale.clamp_min(1e-30).unsqueeze(1)).round_());
      }
      break;
  }
}

int64_t PackedLinear::WeightBytes() const {
  return static_cast<int64_t>(weight_.nbytes() + (scale_.defined() ? scale_.nbytes() : 0));
}

at::Tensor PackedLinear::Forward(const at::Tensor& x) const {
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == columns_ && x.scalar_type() == at::kFloat);
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty({x.size(0), rows_}, x.options());
  ForwardInto(in.data_ptr<float>(), x.size(0), y.data_ptr<float>());
  return y;
}

void PackedLinear::ForwardInto(const float* x, int64_t rows, float* y) const {
  const bool few = rows <= (format_ == WeightFormat::kF32 ? kFewRows : kFewRowsNarrow);
  if (few) return ForwardFew(x, rows, y);
  at::Tensor out = at::from_blob(y, {rows, rows_}, at::kFloat);
  ForwardMany(at::from_blob(const_cast<float*>(x), {rows, columns_}, at::kFloat), out);
}

void PackedLinear::ForwardFew(const float* x, int64_t rows, float* y) const {
  if (rows == 0) return;
  DotRowsArgs all;
  all.columns = columns_;
  all.format = format_;
  all.y_stride = rows_;
  const auto* const weights = static_cast<const std::byte*>(weight_.data_ptr());
  const float* const scale = scale_.defined() ? scale_.data_ptr<float>() : nullptr;
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
    args.scale = scale ? scale + first : nullptr;
    args.bias = bias ? bias + first : nullptr;
    for (int64_t row = 0; row < rows; row += kDotRows) {
      args.x = x + row * columns_;
      args.num_x = std::min(kDotRows, rows - row);
      args.y = y + row * rows_ + first;
      DotRows(args);
    }
  }
}

// Other formats part by part to F32, and all through BLAS.
void PackedLinear::ForwardMany(const at::Tensor& x, at::Tensor& y) const {
  if (format_ == WeightFormat::kF32) {
    at::mm_out(y, x, weight_.t());
    if (bias_.defined()) y.add_(bias_);
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
        const float scale = scale_.defined() ? scale_.data_ptr<float>()[first + r] : 1.0f;
        Widen(weights + (first + r) * row_bytes, columns_, format_, scale, out + r * columns_);
      }
    });
    y.narrow(1, first, count).copy_(at::mm(x, wide.narrow(0, 0, count).t()));
  }
  if (bias_.defined()) y.add_(bias_);
}

}  // namespace moefy::runtime
