// A group of activations as 8-bit numbers; runtime/quantize.h says how.
// Compiled once per instruction set (Highway's pattern: the guard toggles).
#if defined(MOEFY_RUNTIME_QUANTIZE_SIMD_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOEFY_RUNTIME_QUANTIZE_SIMD_H_
#undef MOEFY_RUNTIME_QUANTIZE_SIMD_H_
#else
#define MOEFY_RUNTIME_QUANTIZE_SIMD_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Quantizes x [size], at most a group, to q [padded], zeros at the end. `sums` gets two.
HWY_INLINE void QuantizeGroup(const float* x, int64_t size, int64_t padded, int8_t* q, float* scale,
                              int32_t* sums) {
  const Tag d;
  const hn::RebindToSigned<Tag> d_int;
  const hn::Rebind<int8_t, Tag> d_byte;
  const int64_t whole = size / kLanes * kLanes;
  alignas(64) float rest[kLanes] = {};
  std::copy_n(x + whole, size - whole, rest);
  Vector largest = hn::Abs(hn::Load(d, rest));
  Vector nothing = hn::Mul(hn::Load(d, rest), hn::Zero(d));  // NaN if a value is not finite
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Vector value = hn::LoadU(d, x + i);
    largest = hn::Max(largest, hn::Abs(value));
    nothing = hn::MulAdd(value, hn::Zero(d), nothing);
  }
  const float most = hn::GetLane(hn::MaxOfLanes(d, largest));
  const float zero = hn::GetLane(hn::SumOfLanes(d, nothing));
  sums[0] = sums[1] = 0;
  if (!(most > 1e-30f) || zero != 0) {
    *scale = zero == 0 ? 0 : std::numeric_limits<float>::quiet_NaN();
    std::fill_n(q, padded, int8_t{0});
    return;
  }
  *scale = most / 127;
  const Vector inverse = hn::Set(d, 127 / most);
  auto total = hn::Zero(d_int);
  for (int64_t i = 0; i < whole; i += kLanes) {
    const auto value = hn::NearestInt(hn::Mul(hn::LoadU(d, x + i), inverse));
    hn::StoreU(hn::DemoteTo(d_byte, value), d_byte, q + i);
    total = hn::Add(total, value);
    if (i + kLanes == kHalfGroup) {
      sums[0] = hn::GetLane(hn::SumOfLanes(d_int, total));
      total = hn::Zero(d_int);
    }
  }
  const auto value = hn::NearestInt(hn::Mul(hn::Load(d, rest), inverse));
  int8_t bytes[kLanes];
  hn::StoreU(hn::DemoteTo(d_byte, value), d_byte, bytes);
  std::copy_n(bytes, size - whole, q + whole);
  std::fill(q + size, q + padded, int8_t{0});
  sums[whole >= kHalfGroup] = hn::GetLane(hn::SumOfLanes(d_int, hn::Add(total, value)));
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
