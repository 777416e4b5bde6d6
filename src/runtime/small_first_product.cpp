#include "runtime/small_first_product.h"

#include <hwy/base.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "runtime/kernel_targets.h"
#include "runtime/small_tiles.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/small_first_product.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include "runtime/activations_simd.h"
#include "runtime/int8_simd.h"
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

constexpr int kVectors = static_cast<int>(kSmallLanes / kLanes);  // of a block
// Rows of sums in registers, vectors of a block each.
#if HWY_TARGET <= HWY_AVX3
constexpr int kFloatRows = 12, kInt8Rows = 6;
#elif HWY_TARGET == HWY_NEON
constexpr int kFloatRows = 3, kInt8Rows = 1;
#elif HWY_TARGET == HWY_AVX2
constexpr int kFloatRows = 2, kInt8Rows = 1;
#else
constexpr int kFloatRows = 1, kInt8Rows = 1;
#endif

// The processor sees only later than the next expert's weights where it goes on. With few tokens it
// would wait for them: they are fetched so many bytes ahead.
constexpr int64_t kFetchBytes = 4096, kFetchFirst = 1024, kFetchTokens = 3;

// Vector `v` of a block that takes kSplit numbers at a time: lane l holds number l % kSplit.
template <int kSplit>
HWY_INLINE Vector LoadPattern(const float* from, int v) {
  const Tag d;
  if constexpr (kSplit >= kLanes) {
    return hn::LoadU(d, from + v * kLanes % kSplit);
#if HWY_TARGET != HWY_SCALAR
  } else if constexpr (kSplit == 1) {
    return hn::Set(d, *from);
  } else if constexpr (kSplit == 2) {
    double pair;
    hwy::CopyBytes<8>(from, &pair);
    return hn::BitCast(d, hn::Set(hn::Repartition<double, Tag>(), pair));
  } else if constexpr (kSplit == 4) {
    return hn::LoadDup128(d, from);
#if HWY_TARGET <= HWY_AVX3
  } else {
    return Vector{_mm512_broadcast_f32x8(_mm256_loadu_ps(from))};
#endif
#endif
  }
}

// Adds up runs of kSplit neighbouring lanes of `count` vectors, as if they were one; the sums lie
// side by side in the first ones. A sum does not depend on what else is added up with it.
template <int kSplit, int kCount>
HWY_INLINE void AddNeighbours(Vector* sums) {
  if constexpr (kSplit > 1) {
    const Tag d;
    constexpr int kHalf = (kCount + 1) / 2;
#pragma GCC unroll 32
    for (int i = 0; i < kHalf; ++i) {
      const Vector low = sums[2 * i], high = 2 * i + 1 < kCount ? sums[2 * i + 1] : hn::Zero(d);
#if HWY_TARGET == HWY_SCALAR
      sums[i] = hn::Add(low, high);
#else
      sums[i] = hn::Add(hn::ConcatEven(d, high, low), hn::ConcatOdd(d, high, low));
#endif
    }
    AddNeighbours<kSplit / 2, kHalf>(sums);
  }
}

template <class T>
struct SmallFloats {
  static constexpr int kMaxRows = kFloatRows;
  using Weight = T;
  const SmallFirstArgs& args;

  template <int kSplit, int kRows>
  HWY_INLINE void Multiply(const int32_t* tokens, const T* w, Vector* sum) const {
    const Tag d;
    const float* row[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      row[r] = args.x + tokens[r] * args.x_stride;
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r * kVectors + v] = hn::Zero(d);
    }
    const int64_t columns = args.experts->hidden;
    for (int64_t i = 0; i < columns; i += kSplit, w += kSmallLanes) {
      Vector weights[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) weights[v] = LoadWeights(d, w + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          Vector& one = sum[r * kVectors + v];
          one = hn::MulAdd(LoadPattern<kSplit>(row[r] + i, v), weights[v], one);
        }
      }
    }
  }
};

template <class Dots>
struct SmallInt8 {
  static constexpr int kMaxRows = kInt8Rows;
  using Weight = uint8_t;
  const SmallFirstArgs& args;

  template <int kSplit, int kRows>
  HWY_INLINE void Multiply(const int32_t* tokens, const uint8_t* w, Vector* total) const {
    const IntTag d;
    const Tag d_float;
    constexpr int64_t kStepColumns = kSplit * kQuad;
    const int8_t* row[kRows];
    const float* scales[kRows];
    const int32_t* sums[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const QuantizedRows x = args.quantized.From(tokens[r]);
      row[r] = x.data;
      scales[r] = x.scale;
      sums[r] = x.sum;
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) total[r * kVectors + v] = hn::Zero(d_float);
    }
    const int64_t groups = args.quantized.groups;
    for (int64_t group = 0; group < groups; ++group) {
      Ints sum[kRows * kVectors];
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        // Every lane of a neuron takes off its share.
        const Ints start =
            hn::Set(d, -(Dots::kOffset / kSplit) * (sums[r][2 * group] + sums[r][2 * group + 1]));
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sum[r * kVectors + v] = start;
      }
      const int64_t first = group * kGroupColumns;
#pragma GCC unroll 2
      for (int64_t i = first; i < first + kGroupColumns; i += kStepColumns) {
        typename Dots::Quads weights[kVectors];
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          weights[v] = Dots::Prepare(LoadQuads(w + v * 4 * kLanes));
        }
        w += 4 * kSmallLanes;
#pragma GCC unroll 16
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
          for (int v = 0; v < kVectors; ++v) {
            const Ints x =
                hn::BitCast(d, LoadPattern<kSplit>(reinterpret_cast<const float*>(row[r] + i), v));
            Ints& one = sum[r * kVectors + v];
            one = Dots::Add(one, weights[v], x);
          }
        }
      }
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const Vector scale = hn::Set(d_float, scales[r][group]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          Vector& one = total[r * kVectors + v];
          one = hn::MulAdd(hn::ConvertTo(d_float, sum[r * kVectors + v]), scale, one);
        }
      }
    }
  }
};

// A block of kSmallLanes / kSplit neurons for kRows tokens.
template <int kSplit, int kRows, class Operand>
HWY_NOINLINE void MultiplyRows(const Operand& operand, const int32_t* tokens,
                               const typename Operand::Weight* w, float* out, int64_t stride) {
  const Tag d;
  constexpr int64_t kWidth = kSmallLanes / kSplit;
  constexpr int kOut = (kRows * kVectors + kSplit - 1) / kSplit;
  Vector sums[kRows * kVectors];
  operand.template Multiply<kSplit, kRows>(tokens, w, sums);
  AddNeighbours<kSplit, kRows * kVectors>(sums);
  if (stride == kWidth) {
#pragma GCC unroll 32
    for (int i = 0; i < kOut; ++i) hn::StoreU(sums[i], d, out + i * kLanes);
    return;
  }
  alignas(64) float rows[kOut * kLanes];
#pragma GCC unroll 32
  for (int i = 0; i < kOut; ++i) hn::Store(sums[i], d, rows + i * kLanes);
  for (int r = 0; r < kRows; ++r) std::copy_n(rows + r * kWidth, kWidth, out + r * stride);
}

// A block for all tokens of an expert: as many at once as there is room for, then the rest.
template <int kSplit, int kRows, class Operand>
HWY_INLINE void MultiplyBlock(const Operand& operand, const int32_t* tokens, int64_t count,
                              const typename Operand::Weight* w, float* out, int64_t stride) {
  while (count >= kRows) {
    MultiplyRows<kSplit, kRows>(operand, tokens, w, out, stride);
    tokens += kRows;
    out += kRows * stride;
    count -= kRows;
  }
  if constexpr (kRows > 1) {
    MultiplyBlock<kSplit, kRows / 2>(operand, tokens, count, w, out, stride);
  }
}

// Calls function(integral constant) with a power of two from 2 to kMost.
template <int kMost, class Function>
HWY_INLINE void WithPowerOfTwo(int64_t value, const Function& function) {
  if constexpr (kMost > 2) {
    if (value < kMost) return WithPowerOfTwo<kMost / 2>(value, function);
  }
  function(std::integral_constant<int, kMost>());
}

// `w` is the expert's.
template <class Operand>
HWY_INLINE void MultiplyExpert(const Operand& operand, const Tile& tile, const std::byte* w,
                               int64_t row_bytes, float* out, int64_t stride) {
  const int32_t* const tokens = operand.args.tokens + tile.pairs_begin;
  const int64_t count = tile.pairs_end - tile.pairs_begin;
  for (int64_t n = 0; n < tile.width;) {
    const auto* const block = reinterpret_cast<const typename Operand::Weight*>(w + n * row_bytes);
    const int64_t width = SmallBlock(tile.width - n);
    const auto multiply = [&](auto split) HWY_ATTR {
      MultiplyBlock<decltype(split)::value, Operand::kMaxRows>(operand, tokens, count, block,
                                                               out + n, stride);
    };
    WithPowerOfTwo<kSmallLanes / 2>(kSmallLanes / width, multiply);
    n += width;
  }
}

// h * scale + bias; scale and bias of an expert's neurons, or null.
HWY_INLINE void AddBiases(const float* scale, const float* bias, int64_t width, int64_t stride,
                          float* h, int64_t size) {
  if (!scale && !bias) return;
  const Tag d;
  alignas(64) float factors[kTileNeurons] = {}, terms[kTileNeurons] = {};
  if (width != stride) {  // rows end with what is not used
    if (scale) scale = std::copy_n(scale, width, factors) - width;
    if (bias) bias = std::copy_n(bias, width, terms) - width;
  }
  WithPowerOfTwo<static_cast<int>(kTileNeurons)>(stride, [&](auto period) HWY_ATTR {
    constexpr int kPeriod = decltype(period)::value;
    const auto load = [&](const float* from, int64_t i) HWY_ATTR {
      if constexpr (kPeriod >= kLanes) return hn::LoadU(d, from + i % kPeriod);
      return LoadPattern<kPeriod>(from, 0);
    };
    for (int64_t i = 0; i < size; i += kLanes) {
      Vector value = hn::LoadU(d, h + i);
      if (scale) value = hn::Mul(value, load(scale, i));
      if (bias) value = hn::Add(value, load(bias, i));
      hn::StoreU(value, d, h + i);
    }
  });
}

// Lets small neurons of an expert give nothing.
HWY_INLINE void ClearSmall(const float* least, int64_t width, int64_t stride, float* h,
                           int64_t rows) {
  for (int64_t r = 0; r < rows; ++r, h += stride) {
    for (int64_t n = 0; n < width; ++n) {
      if (std::abs(h[n]) < least[n]) h[n] = 0;  // less, not at least: NaN stays
    }
  }
}

HWY_INLINE uint32_t LiveNeurons(const float* h, int64_t width) {
  const Tag d;
  uint64_t live = 0;
  for (int64_t n = 0; n < width; n += kLanes) {
    uint64_t bits = 0;
    // Not(Eq), not Ne: NaN is not zero.
    hn::StoreMaskBits(d, hn::Not(hn::Eq(hn::LoadU(d, h + n), hn::Zero(d))),
                      reinterpret_cast<uint8_t*>(&bits));
    live |= bits << n;
  }
  return static_cast<uint32_t>(live) & ((uint32_t{1} << width) - 1);
}

// Begins to fetch the weights of an expert that comes soon.
HWY_INLINE void Fetch(const std::byte* w, int64_t bytes) {
  for (int64_t i = 0; i < std::min(kFetchFirst, bytes); i += 64) hwy::Prefetch(w + i);
}

template <class Operand>
HWY_INLINE void SmallFirstProductOf(const SmallFirstArgs& args) {
  const ExpertWeights& experts = *args.experts;
  const Operand operand{args};
  const int64_t row_bytes = experts.InBytes(), expert_bytes = experts.InOffset(1);
  const auto ahead = static_cast<size_t>(std::max<int64_t>(1, kFetchBytes / expert_bytes));
  const int64_t stride = SmallStride(experts.neurons_per_expert);
  for (size_t i = 0; i < args.tiles.size(); ++i) {
    const Tile& tile = args.tiles[i];
    const auto part = [&](const float* values)
                          HWY_ATTR { return values ? values + tile.first_neuron : nullptr; };
    const int64_t count = tile.pairs_end - tile.pairs_begin, size = count * stride;
    if (count <= kFetchTokens && i + ahead < args.tiles.size()) {
      const int64_t next = args.tiles[i + ahead].expert * expert_bytes;
      Fetch(experts.w_in + next, expert_bytes);
      if (experts.w_gate) Fetch(experts.w_gate + next, expert_bytes);
    }
    float* const h = args.h + tile.slot * stride;
    MultiplyExpert(operand, tile, experts.w_in + tile.expert * expert_bytes, row_bytes, h, stride);
    AddBiases(part(experts.in_scale), part(experts.b_in), tile.width, stride, h, size);
    if (!experts.w_gate) continue;
    float* const gate = args.gate + tile.slot * stride;
    MultiplyExpert(operand, tile, experts.w_gate + tile.expert * expert_bytes, row_bytes, gate,
                   stride);
    AddBiases(part(experts.gate_scale), part(experts.b_gate), tile.width, stride, gate, size);
  }
  // All experts' together: a map costs as much for one number as for a vector.
  const Tile &front = args.tiles.front(), &back = args.tiles.back();
  const int64_t rows = back.slot + back.pairs_end - back.pairs_begin - front.slot;
  const int64_t size = (rows * stride + kLanes - 1) / kLanes * kLanes;
  float* const h = args.h + front.slot * stride;
  const Map map = MapOf(experts.activation);
  if (!experts.w_gate || map.on_both) MapAll(map, h, size);
  if (experts.w_gate) {
    const Tag d;
    float* const gate = args.gate + front.slot * stride;
    MapAll(map, gate, size);
    for (int64_t i = 0; i < size; i += kLanes) {
      hn::StoreU(hn::Mul(hn::LoadU(d, h + i), hn::LoadU(d, gate + i)), d, h + i);
    }
  }
  if (!args.live) return;
  for (const Tile& tile : args.tiles) {
    const int64_t count = tile.pairs_end - tile.pairs_begin;
    float* const own = args.h + tile.slot * stride;
    if (experts.min_magnitude) {
      ClearSmall(experts.min_magnitude + tile.first_neuron, tile.width, stride, own, count);
    }
    for (int64_t r = 0; r < count; ++r) {
      args.live[tile.slot + r] = LiveNeurons(own + r * stride, tile.width);
    }
  }
}

void SmallFirstProduct(const SmallFirstArgs& args) {
  if (args.experts->format == WeightFormat::kInt8) {
    return WithDots([&](auto dots)
                        HWY_ATTR { SmallFirstProductOf<SmallInt8<decltype(dots)>>(args); });
  }
  WithFloatType(args.experts->format, [&](const auto* type) HWY_ATTR {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    SmallFirstProductOf<SmallFloats<T>>(args);
  });
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(SmallFirstProduct);

void SmallFirstProduct(const SmallFirstArgs& args) {
  HWY_DYNAMIC_DISPATCH(SmallFirstProduct)(args);
}

}  // namespace moefy::runtime
#endif
