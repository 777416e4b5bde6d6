// y += h W_out for some tokens of an expert and one panel of columns, in F32; the weights may be
// narrower. Compiled once per instruction set (Highway's pattern: the guard toggles).
#if defined(MOEFY_RUNTIME_PANEL_SIMD_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOEFY_RUNTIME_PANEL_SIMD_H_
#undef MOEFY_RUNTIME_PANEL_SIMD_H_
#else
#define MOEFY_RUNTIME_PANEL_SIMD_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <type_traits>

#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Some tokens of an expert and one panel of its W_out [width][columns].
template <class T>
struct Panel {
  const T* w;
  int64_t width, columns;
  const float* h;
  int64_t h_stride;
  const int32_t* tokens;
  float* y;  // of token 0
  int64_t y_stride;

  float* Row(int64_t i) const { return y + tokens[i] * y_stride; }
};

// kVectors columns of one token, only the neurons that are not zero.
template <int kVectors, class T>
HWY_INLINE void AddLive(const Panel<T>& panel, int64_t i, uint32_t live, int64_t column) {
  const Tag d;
  const float* const h = panel.h + i * panel.h_stride;
  float* const y = panel.Row(i) + column;
  Vector sum[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) sum[v] = hn::LoadU(d, y + v * kLanes);
  for (; live != 0; live &= live - 1) {
    const int n = __builtin_ctz(live);
    const Vector value = hn::Set(d, h[n]);
    const T* const row = panel.w + n * panel.columns + column;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = hn::MulAdd(value, LoadWeights(d, row + v * kLanes), sum[v]);
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[v], d, y + v * kLanes);
}

// kVectors columns of kRows tokens from the i-th on, all neurons.
template <int kRows, int kVectors, class T>
HWY_INLINE void AddAll(const Panel<T>& panel, int64_t i, int64_t column) {
  const Tag d;
  const float* const h = panel.h + i * panel.h_stride;
  float* y[kRows];
  Vector sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    y[r] = panel.Row(i + r) + column;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::LoadU(d, y[r] + v * kLanes);
  }
  const T* w = panel.w + column;
  for (int64_t n = 0; n < panel.width; ++n, w += panel.columns) {
    Vector value[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) value[r] = hn::Set(d, h[r * panel.h_stride + n]);
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
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[r][v], d, y[r] + v * kLanes);
  }
}

// Calls strip(number of vectors, column) for one strip after the other, each as wide as the columns
// that are left allow.
template <int kVectors, class Strip>
HWY_INLINE void ForStrips(int64_t columns, int64_t column, const Strip& strip) {
  for (; column + kVectors * kLanes <= columns; column += kVectors * kLanes) {
    strip(std::integral_constant<int, kVectors>(), column);
  }
  if constexpr (kVectors > 1) {
    if (column < columns) ForStrips<kVectors / 2>(columns, column, strip);
  }
}

// Tokens from the i-th on, as many at once as there is room for, then the rest.
template <int kRows, int kVectors, class T>
HWY_INLINE void AddRows(const Panel<T>& panel, int64_t i, int64_t count) {
  for (; i + kRows <= count; i += kRows) {
    ForStrips<kVectors>(panel.columns, 0, [&](auto vectors, int64_t column) HWY_ATTR {
      AddAll<kRows, decltype(vectors)::value>(panel, i, column);
    });
  }
  if constexpr (kRows > 1) AddRows<kRows / 2, kVectors>(panel, i, count);
}

// Adds the panel to `count` tokens, as many sums at once as given. `live` [count] has a bit for
// each neuron that is not zero; null: none is left out.
template <int kRows, int kVectors, class T>
HWY_INLINE void AddPanel(const Panel<T>& panel, const uint32_t* live, int64_t count) {
  if (live) {
    for (int64_t i = 0; i < count; ++i) {
      if (live[i] == 0) continue;
      ForStrips<kVectors>(panel.columns, 0, [&](auto vectors, int64_t column) HWY_ATTR {
        AddLive<decltype(vectors)::value>(panel, i, live[i], column);
      });
    }
    return;
  }
  AddRows<kRows, kVectors>(panel, 0, count);
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
