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
#include "runtime/panel_simd.h"
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

template <class T>
HWY_INLINE void SecondProductOf(const SecondProductArgs& args, const T* w) {
  const Panel<T> panel{w,           args.width, args.columns, args.h, kTileNeurons,
                       args.tokens, args.y,     kPanelColumns};
  AddPanel<kOutRows, kOutVectors>(panel, args.sparse ? args.live : nullptr, args.num_tokens);
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
