#include "runtime/small_second_product.h"

#include <hwy/base.h>

#include <algorithm>
#include <type_traits>

#include "runtime/kernel_targets.h"
#include "runtime/small_tiles.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/small_second_product.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include "runtime/int8_simd.h"
#include "runtime/panel_simd.h"
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

// The sums of the product, rows x vectors.
#if HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr int kOutRows = 6, kOutVectors = 4;  // 32 registers
#else
constexpr int kOutRows = 3, kOutVectors = 4;
#endif
// With few tokens the processor would wait for weights: they are fetched so many bytes ahead.
constexpr int64_t kFetchBytes = 4096, kFetchFirst = 512, kFetchTokens = 3;
constexpr int64_t kWidenTokens = 3;  // of an expert, from which on its W_out is converted once

// Takes the terms of an expert that runs away from the sums, which began with those of all experts.
template <class T>
HWY_INLINE void Compensate(const Panel<T>& panel, const float* terms, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    float* const y = panel.Row(i);
    for (int64_t c = 0; c < panel.columns; ++c) y[c] -= terms[c];
  }
}

template <class T>
HWY_INLINE void SmallSecondProductOf(const SmallSecondArgs& args) {
  const ExpertWeights& experts = *args.experts;
  const int64_t size = experts.neurons_per_expert, stride = SmallStride(size);
  const auto* const panel_w =
      reinterpret_cast<const T*>(experts.w_out + experts.OutOffset(0, args.column));
  alignas(64) float wide[kTileNeurons * kSmallPanelColumns];
  const int64_t panel_bytes = size * args.columns * int64_t{sizeof(T)};
  const auto ahead = static_cast<size_t>(std::max<int64_t>(1, kFetchBytes / panel_bytes));
  for (size_t i = 0; i < args.ranges.size(); ++i) {
    const PairRange& range = args.ranges[i];
    const int64_t count = range.count;
    if (count <= kFetchTokens && i + ahead < args.ranges.size()) {
      const auto* const next =
          reinterpret_cast<const std::byte*>(panel_w) + args.ranges[i + ahead].expert * panel_bytes;
      for (int64_t b = 0; b < std::min(kFetchFirst, panel_bytes); b += 64) hwy::Prefetch(next + b);
    }
    const T* const w = panel_w + range.expert * size * args.columns;
    const Panel<T> panel{w,
                         size,
                         args.columns,
                         args.h + range.slot * stride,
                         stride,
                         args.tokens + range.begin,
                         args.y,
                         kSmallPanelColumns};
    if (experts.compensation) {
      Compensate(panel, experts.compensation + range.expert * experts.padded_hidden + args.column,
                 count);
    }
    const uint32_t* const live = args.live ? args.live + range.slot : nullptr;
    if constexpr (!std::is_same_v<T, float>) {
      if (count >= kWidenTokens) {  // converting once is cheaper than for each token
        WidenOf(w, size * args.columns, wide);
        AddPanel<kOutRows, kOutVectors>(Panel<float>{wide, panel.width, panel.columns, panel.h,
                                                     stride, panel.tokens, panel.y, panel.y_stride},
                                        live, count);
        continue;
      }
    }
    AddPanel<kOutRows, kOutVectors>(panel, live, count);
  }
}

void SmallSecondProduct(const SmallSecondArgs& args) {
  WithFloatType(args.experts->format, [&](const auto* type) HWY_ATTR {
    SmallSecondProductOf<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(args);
  });
}

constexpr int kStripVectors = static_cast<int>(kStripColumns / kLanes);

// Adds a quad of neurons to the sums of a strip. Interleaved means: column c's four lie at 4 c.
template <class Dots>
HWY_INLINE void AddUnit(const uint8_t* w, Ints x, Ints* sum) {
#pragma GCC unroll 8
  for (int v = 0; v < kStripVectors; ++v) {
    sum[v] = Dots::Add(sum[v], Dots::Prepare(LoadQuads(w + v * 4 * kLanes)), x);
  }
}

// The same for two units of two neurons each.
template <class Dots>
HWY_INLINE void AddPair(const uint8_t* first, const uint8_t* second, Ints x, Ints* sum) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t position = 0; position < kStripColumns; ++position) {
    uint8_t quad[4] = {first[2 * position], first[2 * position + 1], second[2 * position],
                       second[2 * position + 1]};
    Ints& one = sum[PairColumn(position)];
    one = Dots::Add(one, Dots::Prepare(LoadQuads(quad)), x);
  }
#else
  const IntTag d;
  const hn::Repartition<uint8_t, IntTag> d8;
  const hn::Repartition<uint16_t, IntTag> d16;
  constexpr int kHalf = kStripVectors / 2;
#pragma GCC unroll 8
  for (int v = 0; v < kHalf; ++v) {
    const auto a = hn::BitCast(d16, hn::LoadU(d8, first + v * 4 * kLanes));
    const auto b = hn::BitCast(d16, hn::LoadU(d8, second + v * 4 * kLanes));
    const Ints low = hn::BitCast(d, hn::InterleaveLower(d16, a, b));
    const Ints high = hn::BitCast(d, hn::InterleaveUpper(d16, a, b));
    sum[v] = Dots::Add(sum[v], Dots::Prepare(low), x);
    sum[kHalf + v] = Dots::Add(sum[kHalf + v], Dots::Prepare(high), x);
  }
#endif
}

template <class Dots, bool kPairs>
HWY_INLINE void SmallStripOf(const SmallStripArgs& args) {
  const IntTag d;
  const Tag d_float;
  constexpr int kUnits = kPairs ? 2 : 1;  // of a quad
  alignas(64) float row[kStripColumns];
  for (int64_t t = 0; t < args.num_tokens; ++t) {
    const QuantizedRows h = args.h.From(t);
    const int32_t* const units = args.units + t * args.unit_stride;
    const int64_t quads = (args.counts[t] + kUnits - 1) / kUnits;
    Vector total[kStripVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kStripVectors; ++v) {
      total[v] = hn::LoadU(d_float, args.start + t * args.start_stride + v * kLanes);
    }
    const auto add = [&](int64_t q, Ints* sum) HWY_ATTR {
      const Ints x = SetQuad(h.data + 4 * q);
      if constexpr (kPairs) {
        AddPair<Dots>(args.w + units[2 * q], args.w + units[2 * q + 1], x, sum);
      } else {
        AddUnit<Dots>(args.w + units[q], x, sum);
      }
    };
    for (int64_t q = 0, group = 0; q < quads; ++group) {
      // Even and odd quads apart: one sum would wait for itself.
      Ints even[kStripVectors], odd[kStripVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kStripVectors; ++v) {
        even[v] = hn::Set(d, -Dots::kOffset * (h.sum[2 * group] + h.sum[2 * group + 1]));
        odd[v] = hn::Zero(d);
      }
      const int64_t end = std::min(quads, q + kGroupColumns / kQuad);
      for (; q + 2 <= end; q += 2) {
        add(q, even);
        add(q + 1, odd);
      }
      if (q < end) add(q++, even);
      const Vector scale = hn::Set(d_float, h.scale[group]);
#pragma GCC unroll 8
      for (int v = 0; v < kStripVectors; ++v) {
        const Vector sum = hn::ConvertTo(d_float, hn::Add(even[v], odd[v]));
        total[v] = hn::MulAdd(sum, scale, total[v]);
      }
    }
    const bool whole = args.columns == kStripColumns;
    float* const y = args.y + t * args.y_stride;
    float* const to = whole ? y : row;
#pragma GCC unroll 8
    for (int v = 0; v < kStripVectors; ++v) {
      const Vector scale = hn::LoadU(d_float, args.scale + v * kLanes);
      hn::StoreU(hn::Mul(total[v], scale), d_float, to + v * kLanes);
    }
    if (!whole) std::copy_n(row, args.columns, y);
  }
}

void SmallStrip(const SmallStripArgs& args) {
  WithDots([&](auto dots) HWY_ATTR {
    if (args.pairs) return SmallStripOf<decltype(dots), true>(args);
    SmallStripOf<decltype(dots), false>(args);
  });
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(SmallSecondProduct);
HWY_EXPORT(SmallStrip);

void SmallSecondProduct(const SmallSecondArgs& args) {
  HWY_DYNAMIC_DISPATCH(SmallSecondProduct)(args);
}
void SmallStrip(const SmallStripArgs& args) { HWY_DYNAMIC_DISPATCH(SmallStrip)(args); }

}  // namespace moefy::runtime
#endif
