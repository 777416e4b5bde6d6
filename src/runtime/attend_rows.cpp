#include "runtime/attend_rows.h"

#include <hwy/base.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/buffer.h"
#include "runtime/kernel_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/attend_rows.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include <hwy/contrib/math/math-inl.h>

#include "runtime/weights_simd.h"

#ifndef MOEFY_RUNTIME_ATTEND_ROWS_ONCE
#define MOEFY_RUNTIME_ATTEND_ROWS_ONCE
namespace moefy::runtime {
namespace {

// Columns of a tile: keys of K, dimensions of V. The last tile ends with zeros.
constexpr int64_t kTile = 32;

int64_t AttentionTiles(int64_t count) { return (count + kTile - 1) / kTile; }

struct AttentionScratch {
  std::vector<float> keys;    // [key tiles][head_dim][kTile]
  std::vector<float> values;  // [dimension tiles][num_keys][kTile]
  std::vector<float> scores;  // [queries at a time][key tiles][kTile]
};
AttentionScratch& ThreadAttentionScratch() {
  thread_local AttentionScratch scratch;
  return scratch;
}

}  // namespace
}  // namespace moefy::runtime
#endif

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

constexpr int kTileVectors = static_cast<int>(kTile / kLanes);
// Queries at a time: as many as registers hold sums of a whole tile beside operands.
#if HWY_TARGET <= HWY_AVX3
constexpr int kQueries = 12;
#elif HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON
constexpr int kQueries = 3;
#else
constexpr int kQueries = 1;
#endif

// out[r][0, kTile) = sum over i < length of a[r][i] * w[i][0, kTile).
template <int kRows>
HWY_INLINE void MultiplyTileRows(const float* const* a, const float* w, int64_t length, float* out,
                                 int64_t out_stride) {
  const Tag d;
  Vector sum[kRows][kTileVectors];
  const float* row[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
    row[r] = a[r];
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) sum[r][v] = hn::Zero(d);
  }
  for (int64_t i = 0; i < length; ++i, w += kTile) {
    Vector column[kTileVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) column[v] = hn::LoadU(d, w + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vector value = hn::Set(d, row[r][i]);
#pragma GCC unroll 8
      for (int v = 0; v < kTileVectors; ++v) sum[r][v] = hn::MulAdd(value, column[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) {
      hn::StoreU(sum[r][v], d, out + r * out_stride + v * kLanes);
    }
  }
}

template <int kRows>
HWY_INLINE void MultiplyTileOf(int rows, const float* const* a, const float* w, int64_t length,
                               float* out, int64_t out_stride) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return MultiplyTileOf<kRows - 1>(rows, a, w, length, out, out_stride);
  }
  MultiplyTileRows<kRows>(a, w, length, out, out_stride);
}

// Transposes 4 rows of 4 numbers.
HWY_INLINE void Transpose4(const float* from, int64_t stride, float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t n = 0; n < 4; ++n) {
    for (int64_t i = 0; i < 4; ++i) to[i * kTile + n] = from[n * stride + i];
  }
#else
  const hn::FixedTag<float, 4> d;
  const auto a = hn::LoadU(d, from), b = hn::LoadU(d, from + stride);
  const auto c = hn::LoadU(d, from + 2 * stride), e = hn::LoadU(d, from + 3 * stride);
  const auto ac = hn::InterleaveLower(d, a, c), be = hn::InterleaveLower(d, b, e);
  hn::StoreU(hn::InterleaveLower(d, ac, be), d, to);
  hn::StoreU(hn::InterleaveUpper(d, ac, be), d, to + kTile);
  const auto ac_upper = hn::InterleaveUpper(d, a, c), be_upper = hn::InterleaveUpper(d, b, e);
  hn::StoreU(hn::InterleaveLower(d, ac_upper, be_upper), d, to + 2 * kTile);
  hn::StoreU(hn::InterleaveUpper(d, ac_upper, be_upper), d, to + 3 * kTile);
#endif
}

HWY_INLINE void PackKeys(const model::AttentionRows& args, float* to) {
  const int64_t dim = args.head_dim;
  for (int64_t first = 0; first < args.num_keys; first += kTile, to += dim * kTile) {
    const int64_t count = std::min(kTile, args.num_keys - first);
    const float* from = args.keys + first * args.key_stride;
    const int64_t whole = count / 4 * 4, whole_dim = dim / 4 * 4;
    for (int64_t n = 0; n < whole; n += 4) {
      for (int64_t i = 0; i < whole_dim; i += 4) {
        Transpose4(from + n * args.key_stride + i, args.key_stride, to + i * kTile + n);
      }
    }
    for (int64_t i = 0; i < dim; ++i) {
      for (int64_t n = i < whole_dim ? whole : 0; n < kTile; ++n) {
        to[i * kTile + n] = n < count ? from[n * args.key_stride + i] : 0.0f;
      }
    }
  }
}

HWY_INLINE void PackValues(const model::AttentionRows& args, float* to) {
  for (int64_t first = 0; first < args.head_dim; first += kTile) {
    const int64_t count = std::min(kTile, args.head_dim - first);
    for (int64_t key = 0; key < args.num_keys; ++key, to += kTile) {
      std::copy_n(args.values + key * args.value_stride + first, count, to);
      std::fill(to + count, to + kTile, 0.0f);
    }
  }
}

// Replaces `count` scores, which have room for whole vectors, by what is proportional to their
// softmax; returns the sum. NaN stays NaN.
HWY_INLINE float Softmax(const model::AttentionRows& args, const float* bias, int64_t count,
                         float* scores) {
  const Tag d;
  const Vector scale = hn::Set(d, args.scale);
  std::fill(scores + count, scores + (count + kLanes - 1) / kLanes * kLanes, 0.0f);
  for (int64_t i = 0; i < count; i += kLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, scores + i), scale), d, scores + i);
  }
  if (args.softcap != 0) {
    for (int64_t i = 0; i < count; ++i) {
      scores[i] = args.softcap * std::tanh(scores[i] / args.softcap);
    }
  }
  if (bias) {
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, scores + i), hn::LoadU(d, bias + i)), d, scores + i);
    }
    for (; i < count; ++i) scores[i] += bias[i];
  }
  std::fill(scores + count, scores + (count + kLanes - 1) / kLanes * kLanes,
            std::numeric_limits<float>::lowest());
  Vector most = hn::Set(d, scores[0]);
  for (int64_t i = 0; i < count; i += kLanes) most = hn::Max(most, hn::LoadU(d, scores + i));
  const Vector largest = hn::MaxOfLanes(d, most);
  Vector sum = hn::Zero(d);
  for (int64_t i = 0; i < count; i += kLanes) {
    // Below -87 the exponential is no longer a normal number.
    const Vector below = hn::Sub(hn::LoadU(d, scores + i), largest);
    const Vector lowest = hn::Set(d, -87.0f);
    const Vector weight = hn::IfThenZeroElse(
        hn::Lt(below, lowest), hn::Exp(d, hn::IfThenElse(hn::Lt(below, lowest), lowest, below)));
    sum = hn::Add(sum, weight);
    hn::StoreU(weight, d, scores + i);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

void AttendRows(const model::AttentionRows& args) {
  if (args.num_queries == 0) return;
  AttentionScratch& scratch = ThreadAttentionScratch();
  const int64_t key_tiles = AttentionTiles(args.num_keys);
  const int64_t dim_tiles = AttentionTiles(args.head_dim);
  const int64_t score_stride = key_tiles * kTile;
  GrowTo(scratch.keys, score_stride * args.head_dim);
  GrowTo(scratch.values, dim_tiles * kTile * args.num_keys);
  GrowTo(scratch.scores, kQueries * score_stride);
  PackKeys(args, scratch.keys.data());
  PackValues(args, scratch.values.data());
  alignas(64) float mixed[kQueries * kTile];
  for (int64_t first = 0; first < args.num_queries; first += kQueries) {
    const int rows = static_cast<int>(std::min<int64_t>(kQueries, args.num_queries - first));
    // Every query of the group goes over the keys that the last one reads; those that a query does
    // not read get no weight.
    const int64_t keys = std::min(args.num_keys, args.visible_keys + first + rows - 1);
    const float* a[kQueries];
    for (int r = 0; r < rows; ++r) a[r] = args.queries + (first + r) * args.query_stride;
    float* const scores = scratch.scores.data();
    for (int64_t key = 0; key < keys; key += kTile) {
      MultiplyTileOf<kQueries>(rows, a, scratch.keys.data() + key * args.head_dim, args.head_dim,
                               scores + key, score_stride);
    }
    float inverse[kQueries];
    for (int r = 0; r < rows; ++r) {
      float* const row = scores + r * score_stride;
      const int64_t seen = std::min(args.num_keys, args.visible_keys + first + r);
      const float* const bias = args.bias ? args.bias + (first + r) * args.bias_stride : nullptr;
      inverse[r] = 1.0f / Softmax(args, bias, seen, row);
      std::fill(row + seen, row + keys, 0.0f);
      a[r] = row;
    }
    for (int64_t tile = 0; tile < dim_tiles; ++tile) {
      MultiplyTileOf<kQueries>(rows, a, scratch.values.data() + tile * args.num_keys * kTile, keys,
                               mixed, kTile);
      const int64_t count = std::min(kTile, args.head_dim - tile * kTile);
      for (int r = 0; r < rows; ++r) {
        float* const out = args.out + (first + r) * args.out_stride + tile * kTile;
        for (int64_t i = 0; i < count; ++i) out[i] = mixed[r * kTile + i] * inverse[r];
      }
    }
  }
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(AttendRows);

void AttendRows(const model::AttentionRows& rows) { HWY_DYNAMIC_DISPATCH(AttendRows)(rows); }

}  // namespace moefy::runtime
#endif
