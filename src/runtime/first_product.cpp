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
template <class Quantized>
HWY_INLINE void SetRow(const FirstProductArgs& args, int32_t token, int r, Quantized& x) {
  x.x[r] = args.quantized.From(token);
}

template <class Operand>
HWY_INLINE void FirstProductOf(const FirstProductArgs& args) {
  const Tag d;
  Operand x;
  x.SetLength(args.hidden);
  constexpr int kInRows = Operand::kRows;
  using T = typename Operand::Weight;
  const uint32_t all = args.width == 32 ? ~uint32_t{0} : (uint32_t{1} << args.width) - 1;
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
    for (int64_t r = 0; r < rows; ++r, h += h_stride) {
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
        hn::StoreU(value, d, h + n);
        uint64_t bits = 0;
        // Not(Eq), not Ne: NaN is not zero.
        hn::StoreMaskBits(d, hn::Not(hn::Eq(value, hn::Zero(d))),
                          reinterpret_cast<uint8_t*>(&bits));
        live |= bits << n;
      }
      if (args.h_quantized.data) {
        const QuantizedRows& to = args.h_quantized;
        QuantizeGroup(h, args.width, kTileNeurons, to.data + (begin + r) * to.stride,
                      to.scale + begin + r, to.sum + 2 * (begin + r));
      }
      if (!args.live) continue;
      const bool zeros = args.map.makes_zeros || args.min_magnitude;
      args.live[begin + r] = zeros ? static_cast<uint32_t>(live) & all : all;
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
