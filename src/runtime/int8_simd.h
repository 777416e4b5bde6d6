// Products of 8-bit numbers: weights times quantized activations (runtime/quantize.h), four terms
// of a sum at a time. Every product and sum is exact in 32 bits, so all instruction sets give the
// same result, in whatever order they add. Weights are stored as unsigned bytes, value + 128,
// because VNNI multiplies unsigned by signed numbers. Compiled once per instruction set (Highway's
// pattern: the guard toggles).
#if defined(MOEFY_RUNTIME_INT8_SIMD_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOEFY_RUNTIME_INT8_SIMD_H_
#undef MOEFY_RUNTIME_INT8_SIMD_H_
#else
#define MOEFY_RUNTIME_INT8_SIMD_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "runtime/vnni.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using IntTag = hn::CappedTag<int32_t, 16>;
using Ints = hn::Vec<IntTag>;

HWY_INLINE Ints LoadQuads(const uint8_t* from) {
  return hn::LoadU(IntTag(), reinterpret_cast<const int32_t*>(from));
}
// The four activations at `from`, in every lane.
HWY_INLINE Ints SetQuad(const int8_t* from) {
  int32_t quad;
  hwy::CopyBytes<4>(from, &quad);
  return hn::Set(IntTag(), quad);
}

// A way to multiply: Add adds to each lane of `sum` the four products of its bytes. With kOffset
// the sum counts each weight as it is stored, and whoever starts it subtracts kOffset times the sum
// of the activations. Quads holds weights as Add wants them. AddCodes does the same with codes of
// 0 to 15, as they are.
#if HWY_TARGET <= HWY_AVX2
// One instruction. It is written in assembly because Highway's targets do not name VNNI.
struct VnniDots {
  static constexpr int32_t kOffset = 128;
  using Quads = Ints;
  static HWY_INLINE Quads Prepare(Ints stored) { return stored; }
  static HWY_INLINE Ints Add(Ints sum, const Quads& weights, Ints x) {
#if HWY_TARGET <= HWY_AVX3
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(weights.raw), "v"(x.raw));
#else
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.raw) : "x"(weights.raw), "x"(x.raw));
#endif
    return sum;
  }
  static HWY_INLINE Ints AddCodes(Ints sum, Ints codes, Ints x) { return Add(sum, codes, x); }
};
// Without VNNI pairs of products are added in 16 bits. |weight| times activation with the weight's
// sign cannot overflow there: 2 * 127 * 127 is less than 2^15.
struct SignedDots {
  static constexpr int32_t kOffset = 0;
  struct Quads {
    Ints magnitude, weights;
  };
  static HWY_INLINE Quads Prepare(Ints stored) {
    const IntTag d;
    const hn::Repartition<int8_t, IntTag> d8;
    const Ints weights = hn::Xor(stored, hn::Set(d, static_cast<int32_t>(0x80808080u)));
    return {hn::BitCast(d, hn::Abs(hn::BitCast(d8, weights))), weights};
  }
  static HWY_INLINE Ints Add(Ints sum, const Quads& weights, Ints x) {
#if HWY_TARGET <= HWY_AVX3
    const __mmask64 negative = _mm512_movepi8_mask(weights.weights.raw);
    const __m512i signed_x = _mm512_mask_sub_epi8(x.raw, negative, _mm512_setzero_si512(), x.raw);
    const __m512i pairs = _mm512_maddubs_epi16(weights.magnitude.raw, signed_x);
    return Ints{_mm512_add_epi32(sum.raw, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
#else
    const __m256i signed_x = _mm256_sign_epi8(x.raw, weights.weights.raw);
    const __m256i pairs = _mm256_maddubs_epi16(weights.magnitude.raw, signed_x);
    return Ints{_mm256_add_epi32(sum.raw, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
#endif
  }
  static HWY_INLINE Ints AddCodes(Ints sum, Ints codes, Ints x) {
#if HWY_TARGET <= HWY_AVX3
    const __m512i pairs = _mm512_maddubs_epi16(codes.raw, x.raw);
    return Ints{_mm512_add_epi32(sum.raw, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))};
#else
    const __m256i pairs = _mm256_maddubs_epi16(codes.raw, x.raw);
    return Ints{_mm256_add_epi32(sum.raw, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))};
#endif
  }
};
#else
struct PlainDots {
  static constexpr int32_t kOffset = 0;
  using Quads = Ints;
  static HWY_INLINE Quads Prepare(Ints stored) { return stored; }
  static HWY_INLINE Ints Add(Ints sum, const Quads& weights, Ints x) {
    return AddBytes(sum, weights, x, 128);
  }
  static HWY_INLINE Ints AddCodes(Ints sum, Ints codes, Ints x) {
    return AddBytes(sum, codes, x, 0);
  }
  static HWY_INLINE Ints AddBytes(Ints sum, Ints weights, Ints x, int32_t zero) {
    const IntTag d;
    constexpr size_t kInts = hn::MaxLanes(IntTag());
    alignas(64) uint8_t w[4 * kInts];
    alignas(64) int8_t values[4 * kInts];
    alignas(64) int32_t dots[kInts];
    hn::Store(weights, d, reinterpret_cast<int32_t*>(w));
    hn::Store(x, d, reinterpret_cast<int32_t*>(values));
    for (size_t i = 0; i < kInts; ++i) {
      dots[i] = 0;
      for (size_t k = 4 * i; k < 4 * i + 4; ++k) dots[i] += (w[k] - zero) * values[k];
    }
    return hn::Add(sum, hn::Load(d, dots));
  }
};
#endif

// Calls function(Dots()) with the best way that the machine has.
template <class Function>
HWY_INLINE void WithDots(const Function& function) {
#if HWY_TARGET <= HWY_AVX3
  if (HasAvx512Vnni()) return function(VnniDots());
  function(SignedDots());
#elif HWY_TARGET <= HWY_AVX2
  if (HasAvxVnni()) return function(VnniDots());
  function(SignedDots());
#else
  function(PlainDots());
#endif
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
