#include "runtime/attend_rows.h"

#include <hwy/base.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/buffer.h"
#include "runtime/kernel_targets.h"
#include "runtime/weight_tiles.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/attend_rows.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include <hwy/contrib/math/math-inl.h>

#include "runtime/tile_simd.h"

#ifndef MOEFY_RUNTIME_ATTEND_ROWS_ONCE
#define MOEFY_RUNTIME_ATTEND_ROWS_ONCE
namespace moefy::runtime {
namespace {

int64_t WholeTileColumns(int64_t count) {
  return (count + kTileNeurons - 1) / kTileNeurons * kTileNeurons;
}

// Keys and values are laid out as the first product's weights are in F32 (runtime/weight_tiles.h),
// in blocks of kBlockNeurons keys, or dimensions of a value; the last tile ends with zeros.
struct AttentionScratch {
  std::vector<float> keys;    // [blocks of keys][head_dim][block]
  std::vector<float> values;  // [blocks of dimensions][num_keys][block]
  std::vector<float> scores;  // [queries at a time][num_keys, whole tiles]
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

constexpr int kQueries = FloatOperand<float>::kRows;  // at a time

// Transposes 4 rows of 4 numbers.
HWY_INLINE void Transpose4(const float* from, int64_t stride, float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t n = 0; n < 4; ++n) {
    for (int64_t i = 0; i < 4; ++i) to[i * kBlockNeurons + n] = from[n * stride + i];
  }
#else
  const hn::FixedTag<float, 4> d;
  const auto a = hn::LoadU(d, from), b = hn::LoadU(d, from + stride);
  const auto c = hn::LoadU(d, from + 2 * stride), e = hn::LoadU(d, from + 3 * stride);
  const auto ac = hn::InterleaveLower(d, a, c), be = hn::InterleaveLower(d, b, e);
  hn::StoreU(hn::InterleaveLower(d, ac, be), d, to);
  hn::StoreU(hn::InterleaveUpper(d, ac, be), d, to + kBlockNeurons);
  const auto ac_upper = hn::InterleaveUpper(d, a, c), be_upper = hn::InterleaveUpper(d, b, e);
  hn::StoreU(hn::InterleaveLower(d, ac_upper, be_upper), d, to + 2 * kBlockNeurons);
  hn::StoreU(hn::InterleaveUpper(d, ac_upper, be_upper), d, to + 3 * kBlockNeurons);
#endif
}

HWY_INLINE void PackKeys(const model::AttentionRows& args, float* to) {
  const int64_t dim = args.head_dim, whole_dim = dim / 4 * 4;
  for (int64_t first = 0; first < WholeTileColumns(args.num_keys); first += kBlockNeurons) {
    const int64_t count = std::clamp<int64_t>(args.num_keys - first, 0, kBlockNeurons);
    const int64_t whole = count / 4 * 4;
    const float* from = args.keys + first * args.key_stride;
    for (int64_t n = 0; n < whole; n += 4) {
      for (int64_t i = 0; i < whole_dim; i += 4) {
        Transpose4(from + n * args.key_stride + i, args.key_stride, to + i * kBlockNeurons + n);
      }
    }
    for (int64_t i = 0; i < dim; ++i, to += kBlockNeurons) {
      for (int64_t n = i < whole_dim ? whole : 0; n < kBlockNeurons; ++n) {
        to[n] = n < count ? from[n * args.key_stride + i] : 0.0f;
      }
    }
  }
}

HWY_INLINE void PackValues(const model::AttentionRows& args, float* to) {
  for (int64_t first = 0; first < WholeTileColumns(args.head_dim); first += kBlockNeurons) {
    const int64_t count = std::clamp<int64_t>(args.head_dim - first, 0, kBlockNeurons);
    if (count == kBlockNeurons) {
      const Tag d;
      for (int64_t key = 0; key < args.num_keys; ++key, to += kBlockNeurons) {
        const float* const from = args.values + key * args.value_stride + first;
        for (int64_t i = 0; i < kBlockNeurons; i += kLanes) {
          hn::StoreU(hn::LoadU(d, from + i), d, to + i);
        }
      }
      continue;
    }
    for (int64_t key = 0; key < args.num_keys; ++key, to += kBlockNeurons) {
      std::copy_n(args.values + key * args.value_stride + first, count, to);
      std::fill(to + count, to + kBlockNeurons, 0.0f);
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
  const int64_t score_stride = WholeTileColumns(args.num_keys);
  const int64_t dim_columns = WholeTileColumns(args.head_dim);
  GrowTo(scratch.keys, score_stride * args.head_dim);
  GrowTo(scratch.values, dim_columns * args.num_keys);
  GrowTo(scratch.scores, kQueries * score_stride);
  PackKeys(args, scratch.keys.data());
  PackValues(args, scratch.values.data());
  const Tag d;
  alignas(64) float mixed[kQueries * kTileNeurons];
  FloatOperand<float> queries, weights;
  queries.SetLength(args.head_dim);
  weights.SetLength(args.num_keys);
  for (int64_t first = 0; first < args.num_queries; first += kQueries) {
    const int64_t rows = std::min<int64_t>(kQueries, args.num_queries - first);
    // Every query of the group goes over the keys that the last one reads; those that a query does
    // not read get no weight.
    const int64_t keys = std::min(args.num_keys, args.visible_keys + first + rows - 1);
    for (int64_t r = 0; r < rows; ++r) {
      queries.x[r] = args.queries + (first + r) * args.query_stride;
    }
    float* const scores = scratch.scores.data();
    for (int64_t key = 0; key < keys; key += kTileNeurons) {
      MultiplyTile<kQueries>(rows, queries, scratch.keys.data() + key * args.head_dim, kTileNeurons,
                             scores + key, score_stride);
    }
    float inverse[kQueries];
    for (int64_t r = 0; r < rows; ++r) {
      float* const row = scores + r * score_stride;
      const int64_t seen = std::min(args.num_keys, args.visible_keys + first + r);
      const float* const bias = args.bias ? args.bias + (first + r) * args.bias_stride : nullptr;
      inverse[r] = 1.0f / Softmax(args, bias, seen, row);
      std::fill(row + seen, row + keys, 0.0f);
      weights.x[r] = row;
    }
    weights.length = keys;  // of all that are laid out
    for (int64_t column = 0; column < dim_columns; column += kTileNeurons) {
      MultiplyTile<kQueries>(rows, weights, scratch.values.data() + column * args.num_keys,
                             kTileNeurons, mixed, kTileNeurons);
      const int64_t count = std::min(kTileNeurons, args.head_dim - column);
      for (int64_t r = 0; r < rows; ++r) {
        float* const out = args.out + (first + r) * args.out_stride + column;
        const float* const sums = mixed + r * kTileNeurons;
        const Vector factor = hn::Set(d, inverse[r]);
        int64_t i = 0;
        for (; i + kLanes <= count; i += kLanes) {
          hn::StoreU(hn::Mul(hn::LoadU(d, sums + i), factor), d, out + i);
        }
        for (; i < count; ++i) out[i] = sums[i] * inverse[r];
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
