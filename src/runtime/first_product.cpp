#include "runtime/first_product.h"

#include <hwy/base.h>

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
#include "runtime/quantize_simd.h"
#include "runtime/tile_simd.h"
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

template <class T>
HWY_INLINE void SetRow(const FirstProductArgs& args, int32_t token, int r, FloatOperand<T>& x) {
  x.x[r] = args.x + token * args.x_stride;
}
template <class Dots>
HWY_INLINE void SetRow(const FirstProductArgs& args, int32_t token, int r, Int8Operand<Dots>& x) {
  x.x[r] = args.quantized.From(token);
  x.group_columns = args.quantized.group_columns;
}
template <class Dots>
HWY_INLINE void SetRow(const FirstProductArgs& args, int32_t token, int r, Int4Operand<Dots>& x) {
  x.x[r] = args.quantized.From(token);
}

// Multiplies rows of sums by what belongs to the token and the neuron, and adds the neuron's bias.
HWY_INLINE void AddBiases(const FirstProductArgs& args, const float* scale, const float* bias,
                          const int32_t* tokens, int64_t rows, float* h, int64_t h_stride) {
  const float* const x_scale = tokens ? args.x_scale : nullptr;
  if (!x_scale && !scale && !bias) return;
  const Tag d;
  for (int64_t r = 0; r < rows; ++r, h += h_stride) {
    const Vector of_token = hn::Set(d, x_scale ? x_scale[tokens[r]] : 1.0f);
    for (int64_t n = 0; n < args.width; n += kLanes) {
      Vector value = hn::LoadU(d, h + n);
      if (x_scale) value = hn::Mul(value, of_token);
      if (scale) value = hn::Mul(value, hn::LoadU(d, scale + n));
      if (bias) value = hn::Add(value, hn::LoadU(d, bias + n));
      hn::StoreU(value, d, h + n);
    }
  }
}

// Maps rows of a tile; whole ones that lie side by side are mapped as one.
HWY_INLINE void MapRows(const Map& map, float* h, int64_t h_stride, int64_t rows, int64_t width) {
  if (h_stride == kTileNeurons && width == kTileNeurons) {
    return MapAll(map, h, rows * kTileNeurons);
  }
  const int64_t size = (width + kLanes - 1) / kLanes * kLanes;
  for (int64_t r = 0; r < rows; ++r) MapAll(map, h + r * h_stride, size);
}

// Multiplies a row by its gate, lets small neurons give nothing, and returns which are not zero.
HWY_INLINE uint32_t Finish(const FirstProductArgs& args, const float* gate, float* h) {
  const bool zeros = args.map.makes_zeros || args.min_magnitude;
  const uint32_t all = args.width == 32 ? ~uint32_t{0} : (uint32_t{1} << args.width) - 1;
  if (!gate && !zeros) return all;
  const Tag d;
  uint64_t live = 0;
  for (int64_t n = 0; n < args.width; n += kLanes) {
    Vector value = hn::LoadU(d, h + n);
    if (gate) value = hn::Mul(value, hn::LoadU(d, gate + n));
    if (args.min_magnitude) {
      // Less, not at least: NaN stays.
      const auto less = hn::Lt(hn::Abs(value), hn::LoadU(d, args.min_magnitude + n));
      value = hn::IfThenZeroElse(less, value);
    }
    hn::StoreU(value, d, h + n);
    if (!zeros) continue;
    uint64_t bits = 0;
    // Not(Eq), not Ne: NaN is not zero.
    hn::StoreMaskBits(d, hn::Not(hn::Eq(value, hn::Zero(d))), reinterpret_cast<uint8_t*>(&bits));
    live |= bits << n;
  }
  return zeros ? static_cast<uint32_t>(live) & all : all;
}

template <class Operand>
HWY_INLINE void FirstProductOf(const FirstProductArgs& args) {
  Operand x;
  x.SetLength(args.hidden);
  constexpr int kInRows = Operand::kRows;
  using T = typename Operand::Weight;
  alignas(64) float gate[kInRows * kTileNeurons], local[kInRows * kTileNeurons];
  const int64_t h_stride = args.h ? args.h_stride : kTileNeurons;
  for (int64_t begin = 0; begin < args.num_tokens; begin += kInRows) {
    const int64_t rows = std::min<int64_t>(kInRows, args.num_tokens - begin);
    for (int r = 0; r < static_cast<int>(rows); ++r) SetRow(args, args.tokens[begin + r], r, x);
    float* h = args.h ? args.h + begin * h_stride : local;
    MultiplyTile<kInRows>(rows, x, static_cast<const T*>(args.w_in), args.width, h, h_stride);
    if (args.w_gate) {
      MultiplyTile<kInRows>(rows, x, static_cast<const T*>(args.w_gate), args.width, gate,
                            kTileNeurons);
    }
    const int32_t* const tokens = args.tokens + begin;
    AddBiases(args, args.in_scale, args.b_in, tokens, rows, h, h_stride);
    if (args.w_gate) {
      AddBiases(args, args.gate_scale, args.b_gate, nullptr, rows, gate, kTileNeurons);
      MapRows(args.map, gate, kTileNeurons, rows, args.width);
    }
    if (!args.w_gate || args.map.on_both) MapRows(args.map, h, h_stride, rows, args.width);
    for (int64_t r = 0; r < rows; ++r, h += h_stride) {
      const float* const factor = args.w_gate ? gate + r * kTileNeurons : nullptr;
      const uint32_t live = Finish(args, factor, h);
      if (args.h_quantized.data) {
        const QuantizedRows to = args.h_quantized.From(begin + r);
        QuantizeGroup(h, args.width, kTileNeurons, to.data, to.scale, to.sum);
      }
      if (args.live) args.live[begin + r] = live;
    }
  }
}

void FirstProduct(const FirstProductArgs& args) {
  if (args.format == WeightFormat::kInt8) {
    return WithDots([&](auto dots) HWY_ATTR { FirstProductOf<Int8Operand<decltype(dots)>>(args); });
  }
  if (args.format == WeightFormat::kInt4) {
    return WithDots([&](auto dots) HWY_ATTR { FirstProductOf<Int4Operand<decltype(dots)>>(args); });
  }
  WithFloatType(args.format, [&](const auto* type) HWY_ATTR {
    FirstProductOf<FloatOperand<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>>(args);
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
