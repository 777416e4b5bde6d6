// The maps between the two products, on vectors. Source of the erfc coefficients: interpolation of
// erfc(z) exp(z^2) / t in t = 1 / (1 + 0.38 z) at Chebyshev nodes, the form of Abramowitz & Stegun
// 7.1.26 (relative error below 3e-8).
// Compiled once per instruction set (Highway's pattern: the guard toggles).
#if defined(MOEFY_RUNTIME_ACTIVATIONS_SIMD_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOEFY_RUNTIME_ACTIVATIONS_SIMD_H_
#undef MOEFY_RUNTIME_ACTIVATIONS_SIMD_H_
#else
#define MOEFY_RUNTIME_ACTIVATIONS_SIMD_H_
#endif

#include <hwy/highway.h>
// After it:
#include <hwy/contrib/math/math-inl.h>

#include "runtime/activation_map.h"
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE Vector Sigmoid(Tag d, Vector x) {
  const Vector one = hn::Set(d, 1.0f);
  const Vector clamped = hn::Clamp(hn::Neg(x), hn::Set(d, -87.0f), hn::Set(d, 87.0f));
  return hn::Div(one, hn::Add(one, hn::Exp(d, clamped)));
}

// x * P(X <= x) through 0.5 erfc(|x| / sqrt 2), whose relative error stays small in the tail.
HWY_INLINE Vector ErfGelu(Tag d, Vector x) {
  const Vector one = hn::Set(d, 1.0f);
  const Vector size = hn::Abs(x);
  const Vector z = hn::Min(hn::Mul(size, hn::Set(d, 0.70710678f)), hn::Set(d, 9.0f));
  const Vector t = hn::Div(one, hn::MulAdd(z, hn::Set(d, 0.38f), one));
  constexpr float kCoefficients[] = {0.0596302628f, -0.265592308f, 0.370877396f,
                                     -0.169674971f, 0.235820385f,  0.136137502f,
                                     0.204558153f,  0.213827211f,  0.21441639f};
  Vector p = hn::Set(d, kCoefficients[0]);
#pragma GCC unroll 8
  for (int i = 1; i < 9; ++i) p = hn::MulAdd(p, t, hn::Set(d, kCoefficients[i]));
  const Vector half_erfc =
      hn::Mul(hn::Mul(hn::Mul(p, t), hn::Set(d, 0.5f)), hn::Exp(d, hn::Neg(hn::Mul(z, z))));
  const Vector share = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), half_erfc, hn::Sub(one, half_erfc));
  return hn::Mul(x, share);
}

// x tanh(log(1 + e^x)): with n = e^x (e^x + 2) it is x n / (n + 2).
HWY_INLINE Vector Mish(Tag d, Vector x) {
  const Vector two = hn::Set(d, 2.0f);
  const Vector e = hn::Exp(d, hn::Clamp(x, hn::Set(d, -87.0f), hn::Set(d, 20.0f)));
  const Vector n = hn::Mul(e, hn::Add(e, two));
  return hn::Mul(x, hn::Div(n, hn::Add(n, two)));
}

// Written so that NaN stays NaN.
HWY_INLINE Vector Relu(Tag d, Vector x) { return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x); }
HWY_INLINE Vector AtMost(Tag d, Vector x, float most) {
  const Vector limit = hn::Set(d, most);
  return hn::IfThenElse(hn::Gt(x, limit), limit, x);
}

// Calls function(map of a Vector) with the map that `map` names: chosen once, not for each vector.
template <class Function>
HWY_INLINE void WithMap(const Map& map, const Function& function) {
  const Tag d;
  switch (map.kind) {
    case Map::kRelu:
      return function([&](Vector x) HWY_ATTR { return Relu(d, x); });
    case Map::kRelu2:
      return function([&](Vector x) HWY_ATTR {
        const Vector positive = Relu(d, x);
        return hn::Mul(positive, positive);
      });
    case Map::kRelu6:
      return function([&](Vector x) HWY_ATTR { return AtMost(d, Relu(d, x), 6.0f); });
    case Map::kFatRelu:
      return function([&](Vector x) HWY_ATTR {
        return hn::IfThenZeroElse(hn::Le(x, hn::Set(d, map.threshold)), x);
      });
    case Map::kLeakyRelu:
      return function([&](Vector x) HWY_ATTR {
        return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(x, hn::Set(d, 0.01f)), x);
      });
    case Map::kGelu:
      return function([&](Vector x) HWY_ATTR { return ErfGelu(d, x); });
    case Map::kGelu10:  // never below -10
      return function([&](Vector x) HWY_ATTR { return AtMost(d, ErfGelu(d, x), 10.0f); });
    case Map::kQuickGelu:
      return function([&](Vector x) HWY_ATTR {
        return hn::Mul(x, Sigmoid(d, hn::Mul(x, hn::Set(d, 1.702f))));
      });
    case Map::kMish:
      return function([&](Vector x) HWY_ATTR { return Mish(d, x); });
    case Map::kGeluTanh:  // 0.5 (1 + tanh u) is sigmoid(2u)
      return function([&](Vector x) HWY_ATTR {
        const Vector cubic = hn::MulAdd(hn::Mul(hn::Mul(x, x), x), hn::Set(d, 0.044715f), x);
        return hn::Mul(x, Sigmoid(d, hn::Mul(cubic, hn::Set(d, 1.5957691216f))));
      });
    case Map::kSilu:
      return function([&](Vector x) HWY_ATTR { return hn::Mul(x, Sigmoid(d, x)); });
    case Map::kTanh:
      return function([&](Vector x) HWY_ATTR {
        const Vector two = hn::Set(d, 2.0f);
        return hn::MulSub(two, Sigmoid(d, hn::Mul(x, two)), hn::Set(d, 1.0f));
      });
    case Map::kNone:
      return;
  }
}

// Maps x [size], whole vectors, in place.
inline HWY_NOINLINE void MapAll(const Map& map, float* x, int64_t size) {
  const Tag d;
  WithMap(map, [&](auto mapped) HWY_ATTR {
    for (int64_t i = 0; i < size; i += kLanes) hn::StoreU(mapped(hn::LoadU(d, x + i)), d, x + i);
  });
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
