// Source of the erfc coefficients: interpolation of erfc(z) exp(z^2) / t in t = 1 / (1 + 0.38 z) at
// Chebyshev nodes, the form of Abramowitz & Stegun 7.1.26 (relative error below 3e-8).
#include "runtime/kernels.h"

#include <hwy/base.h>
#include <hwy/cache_control.h>

#include <algorithm>
#include <cmath>

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
// With so few rows that a whole tile needs no more than kFullSums, all of it is taken at once:
// one row alone would wait for its sums.
#if HWY_TARGET <= HWY_AVX3
constexpr int kInRows = 12, kInVectors = 2, kFullSums = 24;  // 32 registers
constexpr int kOutRows = 3, kOutVectors = 8;
#elif HWY_TARGET == HWY_NEON
constexpr int kInRows = 6, kInVectors = 4, kFullSums = 24;
constexpr int kOutRows = 3, kOutVectors = 8;
#elif HWY_TARGET == HWY_AVX2
constexpr int kInRows = 6, kInVectors = 2, kFullSums = 8;  // 16 registers
constexpr int kOutRows = 3, kOutVectors = 4;
#else
constexpr int kInRows = 3, kInVectors = 4, kFullSums = 8;
constexpr int kOutRows = 3, kOutVectors = 4;
#endif
constexpr int kFullVectors = static_cast<int>(kTileNeurons / kLanes);  // of a whole tile
constexpr int64_t kWidenTokens = 3;       // of an expert, from which on its W_out is converted once
constexpr int64_t kPrefetchBytes = 2048;  // how far ahead of the first product

HWY_INLINE Vector LoadWeights(Tag d, const float* from) { return hn::LoadU(d, from); }
HWY_INLINE Vector LoadWeights(Tag d, const hwy::bfloat16_t* from) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::bfloat16_t, Tag>(), from));
}
HWY_INLINE Vector LoadWeights(Tag d, const hwy::float16_t* from) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, Tag>(), from));
}
HWY_INLINE Vector LoadWeights(Tag d, const int8_t* from) {
  const hn::Rebind<int32_t, Tag> d_wide;
  return hn::ConvertTo(d, hn::PromoteTo(d_wide, hn::LoadU(hn::Rebind<int8_t, Tag>(), from)));
}

// Calls function(T*) with the type of the format's weights.
template <class Function>
HWY_INLINE void WithType(WeightFormat format, const Function& function) {
  switch (format) {
    case WeightFormat::kF32:
      return function(static_cast<const float*>(nullptr));
    case WeightFormat::kBf16:
      return function(static_cast<const hwy::bfloat16_t*>(nullptr));
    case WeightFormat::kF16:
      return function(static_cast<const hwy::float16_t*>(nullptr));
    case WeightFormat::kInt8:
      return function(static_cast<const int8_t*>(nullptr));
  }
}

// out[row][0, vectors) = x[row] W over `hidden`. Vector v of W's row i is at w + i * width +
// v * kLanes, in the next block (of full width) where it is beyond the first.
template <int kRows, int kVectors, class T>
HWY_INLINE void Multiply(const float* const* x, const T* w, int64_t width, int64_t hidden,
                         float* out, int64_t out_stride) {
  const Tag d;
  constexpr int kPerBlock = static_cast<int>(kBlockNeurons / kLanes);
  const int64_t next_block = hidden * kBlockNeurons;
  Vector sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
  }
  const float* row[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) row[r] = x[r];
  for (int64_t i = 0; i < hidden; ++i) {
    const T* first = w + i * width;
    Vector weights[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      weights[v] = LoadWeights(d, first + v / kPerBlock * next_block + v % kPerBlock * kLanes);
    }
    hwy::Prefetch(reinterpret_cast<const char*>(first) + kPrefetchBytes);
    if (kVectors > kPerBlock) {
      hwy::Prefetch(reinterpret_cast<const char*>(first + next_block) + kPrefetchBytes);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vector value = hn::Set(d, row[r][i]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(value, weights[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[r][v], d, out + r * out_stride + v * kLanes);
    }
  }
}

// `count` columns of a block whose rows are `width` apart, as many vectors together as allowed.
template <int kRows, int kVectors, class T>
HWY_INLINE void MultiplyBlock(const float* const* x, const T* w, int64_t width, int64_t count,
                              int64_t hidden, float* out, int64_t out_stride) {
  if constexpr (kVectors > 1) {
    if (count <= kVectors / 2 * kLanes) {
      return MultiplyBlock<kRows, kVectors / 2>(x, w, width, count, hidden, out, out_stride);
    }
  }
  constexpr int64_t kColumns = kVectors * kLanes;
  Multiply<kRows, kVectors>(x, w, width, hidden, out, out_stride);
  if (count > kColumns) {
    MultiplyBlock<kRows, kVectors>(x, w + kColumns, width, count - kColumns, hidden, out + kColumns,
                                   out_stride);
  }
}

// All columns of the tile for a number of rows known only now.
template <int kRows, class T>
HWY_INLINE void MultiplyTile(int64_t rows, const float* const* x, const T* w, int64_t width,
                             int64_t hidden, float* out, int64_t out_stride) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return MultiplyTile<kRows - 1>(rows, x, w, width, hidden, out, out_stride);
  }
  if constexpr (kRows * kFullVectors <= kFullSums) {
    if (width == kTileNeurons) {
      return Multiply<kRows, kFullVectors>(x, w, kBlockNeurons, hidden, out, out_stride);
    }
  }
  constexpr int kVectors = kLanes == kBlockNeurons ? 1 : kInVectors;
  for (int64_t n = 0; n < width; n += kBlockNeurons) {
    const int64_t block = std::min(kBlockNeurons, width - n);
    MultiplyBlock<kRows, kVectors>(x, w + n * hidden, block, block, hidden, out + n, out_stride);
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

HWY_INLINE Vector Apply(Tag d, Map map, Vector x) {
  switch (map) {
    case Map::kRelu:  // written so that NaN stays NaN
      return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
    case Map::kGelu:
      return ErfGelu(d, x);
    case Map::kGeluTanh: {  // 0.5 (1 + tanh u) is sigmoid(2u)
      const Vector cubic = hn::MulAdd(hn::Mul(hn::Mul(x, x), x), hn::Set(d, 0.044715f), x);
      return hn::Mul(x, Sigmoid(d, hn::Mul(cubic, hn::Set(d, 1.5957691216f))));
    }
    case Map::kSilu:
      return hn::Mul(x, Sigmoid(d, x));
    case Map::kTanh: {
      const Vector two = hn::Set(d, 2.0f);
      return hn::MulSub(two, Sigmoid(d, hn::Mul(x, two)), hn::Set(d, 1.0f));
    }
    case Map::kNone:
      break;
  }
  return x;
}

template <class T>
HWY_INLINE void FirstProductOf(const FirstProductArgs& args) {
  const Tag d;
  const uint32_t all = args.width == 32 ? ~uint32_t{0} : (uint32_t{1} << args.width) - 1;
  alignas(64) float gate[kInRows * kTileNeurons];
  for (int64_t begin = 0; begin < args.num_tokens; begin += kInRows) {
    const int64_t rows = std::min<int64_t>(kInRows, args.num_tokens - begin);
    const float* x[kInRows];
    for (int64_t r = 0; r < rows; ++r) x[r] = args.x + args.tokens[begin + r] * args.x_stride;
    float* h = args.h + begin * args.h_stride;
    MultiplyTile<kInRows>(rows, x, static_cast<const T*>(args.w_in), args.width, args.hidden, h,
                          args.h_stride);
    if (args.w_gate) {
      MultiplyTile<kInRows>(rows, x, static_cast<const T*>(args.w_gate), args.width, args.hidden,
                            gate, kTileNeurons);
    }
    for (int64_t r = 0; r < rows; ++r, h += args.h_stride) {
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
          value = hn::Mul(value, Apply(d, args.map, gate_value));
        } else {
          value = Apply(d, args.map, value);
        }
        if (args.out_scale) value = hn::Mul(value, hn::LoadU(d, args.out_scale + n));
        hn::StoreU(value, d, h + n);
        uint64_t bits = 0;
        // Not(Eq), not Ne: NaN is not zero.
        hn::StoreMaskBits(d, hn::Not(hn::Eq(value, hn::Zero(d))),
                          reinterpret_cast<uint8_t*>(&bits));
        live |= bits << n;
      }
      if (!args.live) continue;
      args.live[begin + r] = args.map == Map::kRelu ? static_cast<uint32_t>(live) & all : all;
    }
  }
}

void FirstProduct(const FirstProductArgs& args) {
  WithType(args.format, [&](const auto* type) HWY_ATTR {
    FirstProductOf<std::remove_const_t<std::remove_pointer_t<decltype(type)>>>(args);
  });
}

// kVectors columns of one token, only the neurons that are not zero.
template <int kVectors, class T>
HWY_INLINE void AddLive(const float* h, uint32_t live, const T* w, int64_t columns, float* y) {
  const Tag d;
  Vector sum[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) sum[v] = hn::LoadU(d, y + v * kLanes);
  for (; live != 0; live &= live - 1) {
    const int n = __builtin_ctz(live);
    const Vector value = hn::Set(d, h[n]);
    const T* row = w + n * columns;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = hn::MulAdd(value, LoadWeights(d, row + v * kLanes), sum[v]);
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[v], d, y + v * kLanes);
}

// kVectors columns of kRows tokens, all neurons.
template <int kRows, int kVectors, class T>
HWY_INLINE void AddAll(const float* h, int64_t width, const T* w, int64_t columns, int64_t column,
                       float* const* y) {
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
      const Vector weights = LoadWeights(d, w + v * kLanes);
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
template <int kVectors, class T>
HWY_INLINE void AddLivePanel(const SecondProductArgs& args, const T* w, const float* h,
                             uint32_t live, float* y, int64_t column) {
  for (; column + kVectors * kLanes <= args.columns; column += kVectors * kLanes) {
    AddLive<kVectors>(h, live, w + column, args.columns, y + column);
  }
  if constexpr (kVectors > 1) {
    if (column < args.columns) AddLivePanel<kVectors / 2>(args, w, h, live, y, column);
  }
}

template <int kRows, int kVectors, class T>
HWY_INLINE void AddAllPanel(const SecondProductArgs& args, const T* w, const float* h, float** y,
                            int64_t column) {
  for (; column + kVectors * kLanes <= args.columns; column += kVectors * kLanes) {
    AddAll<kRows, kVectors>(h, args.width, w + column, args.columns, column, y);
  }
  if constexpr (kVectors > 1) {
    if (column < args.columns) AddAllPanel<kRows, kVectors / 2>(args, w, h, y, column);
  }
}

template <class T>
HWY_INLINE void SecondProductOf(const SecondProductArgs& args, const T* w) {
  const auto y_row = [&](int64_t i) HWY_ATTR { return args.y + args.tokens[i] * kPanelColumns; };
  const float* h = args.h;
  if (args.sparse) {
    for (int64_t i = 0; i < args.num_tokens; ++i, h += kTileNeurons) {
      AddLivePanel<kOutVectors>(args, w, h, args.live[i], y_row(i), 0);
    }
    return;
  }
  int64_t i = 0;
  for (; i + kOutRows <= args.num_tokens; i += kOutRows, h += kOutRows * kTileNeurons) {
    float* y[kOutRows];
    for (int r = 0; r < kOutRows; ++r) y[r] = y_row(i + r);
    AddAllPanel<kOutRows, kOutVectors>(args, w, h, y, 0);
  }
  for (; i < args.num_tokens; ++i, h += kTileNeurons) {
    float* y = y_row(i);
    AddAllPanel<1, kOutVectors>(args, w, h, &y, 0);
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

void SecondProduct(const SecondProductArgs& args) {
  WithType(args.format, [&](const auto* type) HWY_ATTR {
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

// kRows rows of W times one row of x.
template <int kX, class T>
HWY_INLINE void DotRowsOf(const DotRowsArgs& args, const T* w) {
  const Tag d;
  constexpr int kRows = kX == 1 ? 4 : kX <= 4 ? 2 : 1;
  const int64_t whole = args.columns / kLanes * kLanes;
  for (int64_t row = 0; row < args.num_rows; row += kRows) {
    const T* rows[kRows];  // a row beyond the last is the last one again
    for (int r = 0; r < kRows; ++r) {
      rows[r] = w + std::min(row + r, args.num_rows - 1) * args.columns;
    }
    Vector sum[kX][kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kX; ++i) {
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sum[i][r] = hn::Zero(d);
    }
    for (int64_t c = 0; c < whole; c += kLanes) {
      Vector weights[kRows];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) weights[r] = LoadWeights(d, rows[r] + c);
#pragma GCC unroll 8
      for (int i = 0; i < kX; ++i) {
        const Vector value = hn::LoadU(d, args.x + i * args.columns + c);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) sum[i][r] = hn::MulAdd(value, weights[r], sum[i][r]);
      }
    }
    for (int r = 0; r < kRows && row + r < args.num_rows; ++r) {
      float rest[kLanes] = {};
      if (whole < args.columns) WidenOf(rows[r] + whole, args.columns - whole, rest);
      for (int i = 0; i < kX; ++i) {
        float total = hn::GetLane(hn::SumOfLanes(d, sum[i][r]));
        for (int64_t c = whole; c < args.columns; ++c) {
          total += args.x[i * args.columns + c] * rest[c - whole];
        }
        if (args.scale) total *= args.scale[row + r];
        if (args.bias) total += args.bias[row + r];
        args.y[i * args.y_stride + row + r] = total;
      }
    }
  }
}

template <int kX, class T>
HWY_INLINE void DotRowsFor(const DotRowsArgs& args, const T* w) {
  if constexpr (kX > 1) {
    if (args.num_x < kX) return DotRowsFor<kX - 1>(args, w);
  }
  DotRowsOf<kX>(args, w);
}

void DotRows(const DotRowsArgs& args) {
  WithType(args.format, [&](const auto* type) HWY_ATTR {
    DotRowsFor<kDotRows>(args, static_cast<decltype(type)>(args.w));
  });
}

float InverseNorm(const float* x, int64_t size) {
  const Tag d;
  Vector sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= size; i += 4 * kLanes) {
    for (int v = 0; v < 4; ++v) {
      const Vector value = hn::LoadU(d, x + i + v * kLanes);
      sums[v] = hn::MulAdd(value, value, sums[v]);
    }
  }
  float total =
      hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]))));
  for (; i < size; ++i) total += x[i] * x[i];
  return 1.0f / std::max(std::sqrt(total), 1e-12f);
}

void Widen(const void* from, int64_t count, WeightFormat format, float scale, float* to) {
  WithType(format, [&](const auto* type)
                       HWY_ATTR { WidenOf(static_cast<decltype(type)>(from), count, to); });
  if (scale == 1.0f) return;
  for (int64_t i = 0; i < count; ++i) to[i] *= scale;
}

const char* ChosenInstructionSet() { return hwy::TargetName(HWY_TARGET); }

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(FirstProduct);
HWY_EXPORT(SecondProduct);
HWY_EXPORT(DotRows);
HWY_EXPORT(InverseNorm);
HWY_EXPORT(Widen);
HWY_EXPORT(ChosenInstructionSet);

void FirstProduct(const FirstProductArgs& args) { HWY_DYNAMIC_DISPATCH(FirstProduct)(args); }
void SecondProduct(const SecondProductArgs& args) { HWY_DYNAMIC_DISPATCH(SecondProduct)(args); }
void DotRows(const DotRowsArgs& args) { HWY_DYNAMIC_DISPATCH(DotRows)(args); }
float InverseNorm(const float* x, int64_t size) {
  return HWY_DYNAMIC_DISPATCH(InverseNorm)(x, size);
}
void Widen(const void* from, int64_t count, WeightFormat format, float scale, float* to) {
  HWY_DYNAMIC_DISPATCH(Widen)(from, count, format, scale, to);
}
const char* ChosenInstructionSet() { return HWY_DYNAMIC_DISPATCH(ChosenInstructionSet)(); }

}  // namespace moefy::runtime
#endif
