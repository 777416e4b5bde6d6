#include "runtime/first_product.h"

#include <hwy/base.h>
#include <hwy/cache_control.h>

#include <algorithm>
#include <type_traits>

#include "runtime/expert_weights.h"
#include "runtime/kernel_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/first_product.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include "runtime/activations_simd.h"
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

// The sums of the product, rows x vectors: as many as registers hold beside operands. With so few
// rows that a whole tile needs no more than kFullSums, all of it is taken at once: one row alone
// would wait for its sums.
#if HWY_TARGET <= HWY_AVX3
constexpr int kInRows = 12, kInVectors = 2, kFullSums = 24;  // 32 registers
#elif HWY_TARGET == HWY_NEON
constexpr int kInRows = 6, kInVectors = 4, kFullSums = 24;
#elif HWY_TARGET == HWY_AVX2
constexpr int kInRows = 6, kInVectors = 2, kFullSums = 8;  // 16 registers
#else
constexpr int kInRows = 3, kInVectors = 4, kFullSums = 8;
#endif
constexpr int kFullVectors = static_cast<int>(kTileNeurons / kLanes);  // of a whole tile
constexpr int64_t kPrefetchBytes = 2048;  // how far ahead weights are fetched

// out[row][0, vectors) = x[row] W over `hidden`. Vector v of W's row i is at w + i * width +
// v * kLanes, in the next block (of full width) where it is beyond the first.
template <int kRows, int kVectors, class T>
HWY_INLINE void Multiply(const float* const* x, const T* w, int64_t width, int64_t hidden,
                         float* out, int64_t out_stride) {
  const Tag d;
  constexpr int kPerBlock = static_cast<int>(kBlockNeurons / kLanes);
  const int64_t next_block = hidden * kBlockNeurons;
  Vector sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
  }
  const float* row[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) row[r] = x[r];
  for (int64_t i = 0; i < hidden; ++i) {
    const T* first = w + i * width;
    Vector weights[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      weights[v] = LoadWeights(d, first + v / kPerBlock * next_block + v % kPerBlock * kLanes);
    }
    hwy::Prefetch(reinterpret_cast<const char*>(first) + kPrefetchBytes);
    if (kVectors > kPerBlock) {
      hwy::Prefetch(reinterpret_cast<const char*>(first + next_block) + kPrefetchBytes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vector value = hn::Set(d, row[r][i]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(value, weights[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[r][v], d, out + r * out_stride + v * kLanes);
    }
  }
}

// `count` columns of a block whose rows are `width` apart, as many vectors together as allowed.
template <int kRows, int kVectors, class T>
HWY_INLINE void MultiplyBlock(const float* const* x, const T* w, int64_t width, int64_t count,
                              int64_t hidden, float* out, int64_t out_stride) {
  if constexpr (kVectors > 1) {
    if (count <= kVectors / 2 * kLanes) {
      return MultiplyBlock<kRows, kVectors / 2>(x, w, width, count, hidden, out, out_stride);
    }
  }
  constexpr int64_t kColumns = kVectors * kLanes;
  Multiply<kRows, kVectors>(x, w, width, hidden, out, out_stride);
  if (count > kColumns) {
    MultiplyBlock<kRows, kVectors>(x, w + kColumns, width, count - kColumns, hidden, out + kColumns,
                                   out_stride);
  }
}

// Computes all columns of the tile, for a number of rows that is known only at run time.
template <int kRows, class T>
HWY_INLINE void MultiplyTile(int64_t rows, const float* const* x, const T* w, int64_t width,
                             int64_t hidden, float* out, int64_t out_stride) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return MultiplyTile<kRows - 1>(rows, x, w, width, hidden, out, out_stride);
  }
  if constexpr (kRows * kFullVectors <= kFullSums) {
    if (width == kTileNeurons) {
      return Multiply<kRows, kFullVectors>(x, w, kBlockNeurons, hidden, out, out_stride);
    }
  }
  constexpr int kVectors = kLanes == kBlockNeurons ? 1 : kInVectors;
  for (int64_t n = 0; n < width; n += kBlockNeurons) {
    const int64_t block = std::min(kBlockNeurons, width - n);
    MultiplyBlock<kRows, kVectors>(x, w + n * hidden, block, block, hidden, out + n, out_stride);
  }
}

template <class T>
HWY_INLINE void FirstProductOf(const FirstProductArgs& args) {
  const Tag d;
  const uint32_t all = args.width == 32 ? ~uint32_t{0} : (uint32_t{1} << args.width) - 1;
  alignas(64) float gate[kInRows * kTileNeurons];
  for (int64_t begin = 0; begin < args.num_tokens; begin += kInRows) {
    const int64_t rows = std::min<int64_t>(kInRows, args.num_tokens - begin);
    const float* x[kInRows];
    for (int64_t r = 0; r < rows; ++r) x[r] = args.x + args.tokens[begin + r] * args.x_stride;
    float* h = args.h + begin * args.h_stride;
    MultiplyTile<kInRows>(rows, x, static_cast<const T*>(args.w_in), args.width, args.hidden, h,
                          args.h_stride);
    if (args.w_gate) {
      MultiplyTile<kInRows>(rows, x, static_cast<const T*>(args.w_gate), args.width, args.hidden,
                            gate, kTileNeurons);
    }
    for (int64_t r = 0; r < rows; ++r, h += args.h_stride) {
      uint64_t live = 0;
      for (int64_t n = 0; n < args.width; n += kLanes) {
        Vector value = hn::LoadU(d, h + n);
        if (args.x_scale) {
          value = hn::Mul(value, hn::Set(d, args.x_scale[args.tokens[begin + r]]));
        }
        if (args.in_scale) value = hn::Mul(value, hn::LoadU(d, args.in_scale + n));
        if (args.b_in) value = hn::Add(value, hn::LoadU(d, args.b_in + n));
        if (args.w_gate) {
          Vector gate_value = hn::LoadU(d, gate + r * kTileNeurons + n);
          if (args.gate_scale) gate_value = hn::Mul(gate_value, hn::LoadU(d, args.gate_scale + n));
          if (args.b_gate) gate_value = hn::Add(gate_value, hn::LoadU(d, args.b_gate + n));
          if (args.map.on_both) value = Apply(d, args.map, value);
          value = hn::Mul(value, Apply(d, args.map, gate_value));
        } else {
          value = Apply(d, args.map, value);
        }
        if (args.min_magnitude) {
          // Less, not at least: NaN stays.
          const auto less = hn::Lt(hn::Abs(value), hn::LoadU(d, args.min_magnitude + n));
          value = hn::IfThenZeroElse(less, value);
        }
        if (args.out_scale) value = hn::Mul(value, hn::LoadU(d, args.out_scale + n));
        hn::StoreU(value, d, h + n);
        uint64_t bits = 0;
        // Not(Eq), not Ne: NaN is not zero.
        hn::StoreMaskBits(d, hn::Not(hn::Eq(value, hn::Zero(d))),
                          reinterpret_cast<uint8_t*>(&bits));
        live |= bits << n;
      }
      if (!args.live) continue;
      const bool zeros = args.map.makes_zeros || args.min_magnitude;
      args.live[begin + r] = zeros ? static_cast<uint32_t>(live) & all : all;
    }
  }
}

void FirstProduct(const FirstProductArgs& args) {
  WithType(args.format, [&](const auto* type) HWY_ATTR {
    FirstProductOf<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(args);
  });
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(FirstProduct);

void FirstProduct(const FirstProductArgs& args) { HWY_DYNAMIC_DISPATCH(FirstProduct)(args); }

}  // namespace moefy::runtime
#endif
