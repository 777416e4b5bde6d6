#include "runtime/second_product.h"

#include <hwy/base.h>

#include <algorithm>
#include <type_traits>

#include "runtime/expert_weights.h"
#include "runtime/kernel_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/second_product.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include "runtime/second_product_int8_simd.h"
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

// The sums of the product, rows x vectors.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kOutRows = 3, kOutVectors = 8;  // 32 registers
#else
constexpr int kOutRows = 3, kOutVectors = 4;
#endif
constexpr int64_t kWidenTokens = 3;  // of an expert, from which on its W_out is converted once

// kVectors columns of one token, only the neurons that are not zero.
template <int kVectors, class T>
HWY_INLINE void AddLive(const float* h, uint32_t live, const T* w, int64_t columns, float* y) {
  const Tag d;
  Vector sum[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) sum[v] = hn::LoadU(d, y + v * kLanes);
  for (; live != 0; live &= live - 1) {
    const int n = __builtin_ctz(live);
    const Vector value = hn::Set(d, h[n]);
    const T* row = w + n * columns;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = hn::MulAdd(value, LoadWeights(d, row + v * kLanes), sum[v]);
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[v], d, y + v * kLanes);
}

// kVectors columns of kRows tokens, all neurons.
template <int kRows, int kVectors, class T>
HWY_INLINE void AddAll(const float* h, int64_t width, const T* w, int64_t columns, int64_t column,
                       float* const* y) {
  const Tag d;
  Vector sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::LoadU(d, y[r] + column + v * kLanes);
  }
  for (int64_t n = 0; n < width; ++n, w += columns) {
    Vector value[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) value[r] = hn::Set(d, h[r * kTileNeurons + n]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Vector weights = LoadWeights(d, w + v * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[r][v] = hn::MulAdd(value[r], weights, sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[r][v], d, y[r] + column + v * kLanes);
  }
}

// One strip of kVectors columns after the other, as wide as the columns that are left allow.
template <int kVectors, class T>
HWY_INLINE void AddLivePanel(const SecondProductArgs& args, const T* w, const float* h,
                             uint32_t live, float* y, int64_t column) {
  for (; column + kVectors * kLanes <= args.columns; column += kVectors * kLanes) {
    AddLive<kVectors>(h, live, w + column, args.columns, y + column);
  }
  if constexpr (kVectors > 1) {
    if (column < args.columns) AddLivePanel<kVectors / 2>(args, w, h, live, y, column);
  }
}

template <int kRows, int kVectors, class T>
HWY_INLINE void AddAllPanel(const SecondProductArgs& args, const T* w, const float* h, float** y,
                            int64_t column) {
  for (; column + kVectors * kLanes <= args.columns; column += kVectors * kLanes) {
    AddAll<kRows, kVectors>(h, args.width, w + column, args.columns, column, y);
  }
  if constexpr (kVectors > 1) {
    if (column < args.columns) AddAllPanel<kRows, kVectors / 2>(args, w, h, y, column);
  }
}

template <class T>
HWY_INLINE void SecondProductOf(const SecondProductArgs& args, const T* w) {
  const auto y_row = [&](int64_t i) HWY_ATTR { return args.y + args.tokens[i] * kPanelColumns; };
  const float* h = args.h;
  if (args.sparse) {
    for (int64_t i = 0; i < args.num_tokens; ++i, h += kTileNeurons) {
      AddLivePanel<kOutVectors>(args, w, h, args.live[i], y_row(i), 0);
    }
    return;
  }
  int64_t i = 0;
  for (; i + kOutRows <= args.num_tokens; i += kOutRows, h += kOutRows * kTileNeurons) {
    float* y[kOutRows];
    for (int r = 0; r < kOutRows; ++r) y[r] = y_row(i + r);
    AddAllPanel<kOutRows, kOutVectors>(args, w, h, y, 0);
  }
  for (; i < args.num_tokens; ++i, h += kTileNeurons) {
    float* y = y_row(i);
    AddAllPanel<1, kOutVectors>(args, w, h, &y, 0);
  }
}

void SecondProduct(const SecondProductArgs& args) {
  if (args.format == WeightFormat::kInt8) return SecondProductInt8(args);
  WithFloatType(args.format, [&](const auto* type) HWY_ATTR {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    const auto* w = static_cast<const T*>(args.w_out);
    if constexpr (!std::is_same_v<T, float>) {
      if (args.num_tokens >= kWidenTokens) {  // converting once is cheaper than for each token
        alignas(64) float wide[kTileNeurons * kPanelColumns];
        WidenOf(w, args.width * args.columns, wide);
        return SecondProductOf(args, wide);
      }
    }
    SecondProductOf(args, w);
  });
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(SecondProduct);

void SecondProduct(const SecondProductArgs& args) { HWY_DYNAMIC_DISPATCH(SecondProduct)(args); }

}  // namespace moefy::runtime
#endif
