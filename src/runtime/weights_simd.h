// Weights of any format as vectors of F32.
// Compiled once per instruction set (Highway's pattern: the guard toggles).
#if defined(MOEFY_RUNTIME_WEIGHTS_SIMD_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOEFY_RUNTIME_WEIGHTS_SIMD_H_
#undef MOEFY_RUNTIME_WEIGHTS_SIMD_H_
#else
#define MOEFY_RUNTIME_WEIGHTS_SIMD_H_
#endif

#include <hwy/base.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "runtime/weight_format.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Tag>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(Tag()));

HWY_INLINE Vector LoadWeights(Tag d, const float* from) { return hn::LoadU(d, from); }
HWY_INLINE Vector LoadWeights(Tag d, const hwy::bfloat16_t* from) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::bfloat16_t, Tag>(), from));
}
HWY_INLINE Vector LoadWeights(Tag d, const hwy::float16_t* from) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, Tag>(), from));
}

// Calls function(T*) with the type of the format's weights, for formats that are widened.
template <class Function>
HWY_INLINE void WithFloatType(WeightFormat format, const Function& function) {
  switch (format) {
    case WeightFormat::kF32:
      return function(static_cast<const float*>(nullptr));
    case WeightFormat::kBf16:
      return function(static_cast<const hwy::bfloat16_t*>(nullptr));
    case WeightFormat::kF16:
      return function(static_cast<const hwy::float16_t*>(nullptr));
    case WeightFormat::kInt8:
    case WeightFormat::kInt4:
      break;  // is not widened
  }
}

template <class T>
HWY_INLINE void WidenOf(const T* from, int64_t count, float* to) {
  const Tag d;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(LoadWeights(d, from + i), d, to + i);
  if (i == count) return;
  T rest[kLanes] = {};
  for (int64_t n = i; n < count; ++n) hwy::CopyBytes<sizeof(T)>(from + n, rest + (n - i));
  float wide[kLanes];
  hn::StoreU(LoadWeights(d, rest), d, wide);
  std::copy_n(wide, count - i, to + i);
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
