// Source of the erfc coefficients: interpolation of erfc(z) exp(z^2) / t in t = 1 / (1 + 0.38 z) at
// Chebyshev nodes, the form of Abramowitz & Stegun 7.1.26 (relative error below 3e-8).
#include "runtime/kernels.h"

#include <hwy/cache_control.h>

#include <algorithm>

#include "moefy/runtime/expert_weights.h"

// Vectors of unknown length cannot be kept in arrays of accumulators.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Tag>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(Tag()));
// The accumulators of the two products, rows x vectors: as many as registers hold beside operands.
#if HWY_TARGET <= HWY_AVX3
constexpr int kInRows = 12, kInVectors = 2;  // 32 registers; two blocks of neurons at a time
constexpr int kOutRows = 3, kOutVectors = 8;
#elif HWY_TARGET == HWY_NEON
constexpr int kInRows = 6, kInVectors = 4;
constexpr int kOutRows = 3, kOutVectors = 8;
#elif HWY_TARGET == HWY_AVX2
constexpr int kInRows = 6, kInVectors = 2;  // 16 registers
constexpr int kOutRows = 3, kOutVectors = 4;
#else
constexpr int kInRows = 3, kInVectors = 4;
constexpr int kOutRows = 3, kOutVectors = 4;
#endif
constexpr int64_t kPrefetchBytes = 2048;  // how far ahead of the first product

// out[row][0, vectors) = x[row] W over `hidden`. Vector v of W's row i is at w + i * width +
// v * kLanes, or a block further where vectors are as wide as blocks.
template <int kRows, int kVectors>
HWY_INLINE void Multiply(const float* const* x, const float* w, int64_t width, int64_t hidden,
                         float* out) {
  const Tag d;
  const int64_t next_vector = kLanes == kBlockNeurons ? hidden * kBlockNeurons : kLanes;
  Vector sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
  }
  const float* row[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) row[r] = x[r];
  for (int64_t i = 0; i < hidden; ++i) {
    // Both blocks have full width when there are two.
    const float* first = w + i * width;
    Vector weights[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      weights[v] = hn::LoadU(d, first + v * next_vector);
    }
    hwy::Prefetch(reinterpret_cast<const char*>(first) + kPrefetchBytes);
    if (kLanes == kBlockNeurons && kVectors > 1) {
      hwy::Prefetch(reinterpret_cast<const char*>(first + next_vector) + kPrefetchBytes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vector value = hn::Set(d, row[r][i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(value, weights[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[r][v], d, out + r * kTileNeurons + v * kLanes);
    }
  }
}

// `count` columns of a block whose rows are `width` apart, as many vectors together as allowed.
template <int kRows, int kVectors>
HWY_INLINE void MultiplyBlock(const float* const* x, const float* w, int64_t width, int64_t count,
                              int64_t hidden, float* out) {
  if constexpr (kVectors > 1) {
    if (count <= kVectors / 2 * kLanes) {
      return MultiplyBlock<kRows, kVectors / 2>(x, w, width, count, hidden, out);
    }
  }
  constexpr int64_t kColumns = kVectors * kLanes;
  Multiply<kRows, kVectors>(x, w, width, hidden, out);
  if (count > kColumns) {
    MultiplyBlock<kRows, kVectors>(x, w + kColumns, width, count - kColumns, hidden,
                                   out + kColumns);
  }
}

// All columns of the tile for a number of rows known only now.
template <int kRows>
HWY_INLINE void MultiplyTile(int64_t rows, const float* const* x, const float* w, int64_t width,
                             int64_t hidden, float* out) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return MultiplyTile<kRows - 1>(rows, x, w, width, hidden, out);
  }
  if (kLanes == kBlockNeurons && width == kTileNeurons) {
    Multiply<kRows, 2>(x, w, kBlockNeurons, hidden, out);
    return;
  }
  constexpr int kVectors = kLanes == kBlockNeurons ? 1 : kInVectors;
  for (int64_t n = 0; n < width; n += kBlockNeurons) {
    const int64_t block = std::min(kBlockNeurons, width - n);
    MultiplyBlock<kRows, kVectors>(x, w + n * hidden, block, block, hidden, out + n);
  }
}

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
  for (int i = 1; i < 9; ++i) p = hn::MulAdd(p, t, hn::Set(d, kCoefficients[i]));
  const Vector half_erfc =
      hn::Mul(hn::Mul(hn::Mul(p, t), hn::Set(d, 0.5f)), hn::Exp(d, hn::Neg(hn::Mul(z, z))));
  const Vector share = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), half_erfc, hn::Sub(one, half_erfc));
  return hn::Mul(x, share);
}

HWY_INLINE Vector Activate(Tag d, model::Activation activation, Vector x) {
  switch (activation) {
    case model::Activation::kRelu:  // written so that NaN stays NaN
      return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
    case model::Activation::kGelu:
      return ErfGelu(d, x);
    case model::Activation::kGeluTanh: {  // 0.5 (1 + tanh u) is sigmoid(2u)
      const Vector cubic = hn::MulAdd(hn::Mul(hn::Mul(x, x), x), hn::Set(d, 0.044715f), x);
      return hn::Mul(x, Sigmoid(d, hn::Mul(cubic, hn::Set(d, 1.5957691216f))));
    }
    case model::Activation::kSilu:
      return hn::Mul(x, Sigmoid(d, x));
  }
  return x;
}

void FirstProduct(const FirstProductArgs& args) {
  const Tag d;
  const uint32_t all = args.width == 32 ? ~uint32_t{0} : (uint32_t{1} << args.width) - 1;
  alignas(64) float gate[kInRows * kTileNeurons];
  for (int64_t begin = 0; begin < args.num_tokens; begin += kInRows) {
    const int64_t rows = std::min<int64_t>(kInRows, args.num_tokens - begin);
    const float* x[kInRows];
    for (int64_t r = 0; r < rows; ++r) x[r] = args.x + args.tokens[begin + r] * args.x_stride;
    float* h = args.h + begin * kTileNeurons;
    MultiplyTile<kInRows>(rows, x, args.w_in, args.width, args.hidden, h);
    if (args.w_gate) {
      MultiplyTile<kInRows>(rows, x, args.w_gate, args.width, args.hidden, gate);
    }
    for (int64_t r = 0; r < rows; ++r, h += kTileNeurons) {
      uint64_t live = 0;
      for (int64_t n = 0; n < args.width; n += kLanes) {
        Vector value = hn::LoadU(d, h + n);
        if (args.b_in) value = hn::Add(value, hn::LoadU(d, args.b_in + n));
        if (args.w_gate) {
          const Vector gate_value = hn::LoadU(d, gate + r * kTileNeurons + n);
          value = hn::Mul(value, Activate(d, args.activation, gate_value));
        } else {
          value = Activate(d, args.activation, value);
        }
        hn::StoreU(value, d, h + n);
        uint64_t bits = 0;
        // Not(Eq), not Ne: NaN is not zero.
        hn::StoreMaskBits(d, hn::Not(hn::Eq(value, hn::Zero(d))),
                          reinterpret_cast<uint8_t*>(&bits));
        live |= bits << n;
      }
      const bool relu = args.activation == model::Activation::kRelu;
      args.live[begin + r] = relu ? static_cast<uint32_t>(live) & all : all;
    }
  }
}

// kVectors columns of one token, only the neurons that are not zero.
template <int kVectors>
HWY_INLINE void AddLive(const float* h, uint32_t live, const float* w, int64_t columns, float* y) {
  const Tag d;
  Vector sum[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) sum[v] = hn::LoadU(d, y + v * kLanes);
  for (; live != 0; live &= live - 1) {
    const int n = __builtin_ctz(live);
    const Vector value = hn::Set(d, h[n]);
    const float* row = w + n * columns;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = hn::MulAdd(value, hn::LoadU(d, row + v * kLanes), sum[v]);
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[v], d, y + v * kLanes);
}

// kVectors columns of kRows tokens, all neurons.
template <int kRows, int kVectors>
HWY_INLINE void AddAll(const float* h, int64_t width, const float* w, int64_t columns,
                       int64_t column, float* const* y) {
  const Tag d;
  Vector sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::LoadU(d, y[r] + column + v * kLanes);
  }
  for (int64_t n = 0; n < width; ++n, w += columns) {
    Vector value[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) value[r] = hn::Set(d, h[r * kTileNeurons + n]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Vector weights = hn::LoadU(d, w + v * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) sum[r][v] = hn::MulAdd(value[r], weights, sum[r][v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[r][v], d, y[r] + column + v * kLanes);
  }
}

// One strip of kVectors columns after the other, as wide as the columns that are left allow.
template <int kVectors>
HWY_INLINE void AddLivePanel(const SecondProductArgs& args, const float* h, uint32_t live, float* y,
                             int64_t column) {
  for (; column + kVectors * kLanes <= args.columns; column += kVectors * kLanes) {
    AddLive<kVectors>(h, live, args.w_out + column, args.columns, y + column);
  }
  if constexpr (kVectors > 1) {
    if (column < args.columns) AddLivePanel<kVectors / 2>(args, h, live, y, column);
  }
}

template <int kRows, int kVectors>
HWY_INLINE void AddAllPanel(const SecondProductArgs& args, const float* h, float** y,
                            int64_t column) {
  for (; column + kVectors * kLanes <= args.columns; column += kVectors * kLanes) {
    AddAll<kRows, kVectors>(h, args.width, args.w_out + column, args.columns, column, y);
  }
  if constexpr (kVectors > 1) {
    if (column < args.columns) AddAllPanel<kRows, kVectors / 2>(args, h, y, column);
  }
}

void SecondProduct(const SecondProductArgs& args) {
  const auto y_row = [&](int64_t i) HWY_ATTR { return args.y + args.tokens[i] * kPanelColumns; };
  const float* h = args.h;
  if (args.sparse) {
    for (int64_t i = 0; i < args.num_tokens; ++i, h += kTileNeurons) {
      AddLivePanel<kOutVectors>(args, h, args.live[i], y_row(i), 0);
    }
    return;
  }
  int64_t i = 0;
  for (; i + kOutRows <= args.num_tokens; i += kOutRows, h += kOutRows * kTileNeurons) {
    float* y[kOutRows];
    for (int r = 0; r < kOutRows; ++r) y[r] = y_row(i + r);
    AddAllPanel<kOutRows, kOutVectors>(args, h, y, 0);
  }
  for (; i < args.num_tokens; ++i, h += kTileNeurons) {
    float* y = y_row(i);
    AddAllPanel<1, kOutVectors>(args, h, &y, 0);
  }
}

const char* ChosenInstructionSet() { return hwy::TargetName(HWY_TARGET); }

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(FirstProduct);
HWY_EXPORT(SecondProduct);
HWY_EXPORT(ChosenInstructionSet);

void FirstProduct(const FirstProductArgs& args) { HWY_DYNAMIC_DISPATCH(FirstProduct)(args); }
void SecondProduct(const SecondProductArgs& args) { HWY_DYNAMIC_DISPATCH(SecondProduct)(args); }
const char* ChosenInstructionSet() { return HWY_DYNAMIC_DISPATCH(ChosenInstructionSet)(); }

}  // namespace moefy::runtime
#endif
