#include "runtime/dot_rows.h"

#include <hwy/base.h>
#include <hwy/cache_control.h>

#include <algorithm>
#include <cmath>

#include "runtime/expert_weights.h"
#include "runtime/kernel_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/dot_rows.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

// Columns between two looks ahead, and how many bytes these go.
constexpr int64_t kBlockColumns = 64;
constexpr int64_t kBytesAhead = 2048;
static_assert(kBlockColumns % kLanes == 0);

// kRows rows of W at a time times kX rows of x. Four rows side by side are read fastest, as long as
// the processor itself looks far enough ahead: narrow weights take it too many steps per byte, so
// these are read row after row and asked for early (docs/performance.md).
template <int kX, class T>
HWY_INLINE void DotRowsOf(const DotRowsArgs& args, const T* w) {
  const Tag d;
  constexpr int kRows = kX == 1 && sizeof(T) == sizeof(float) ? 4 : 1;
  constexpr int kSums = 2;  // for every kX, or a row's result would depend on its company
  const int64_t blocks = args.columns / kBlockColumns * kBlockColumns;
  const int64_t whole = args.columns / kLanes * kLanes;
  for (int64_t row = 0; row < args.num_rows; row += kRows) {
    const T* rows[kRows];  // a row beyond the last is the last one again
    for (int r = 0; r < kRows; ++r) {
      rows[r] = w + std::min(row + r, args.num_rows - 1) * args.columns;
    }
    Vector sums[kX][kRows][kSums];
    for (auto& of_x : sums) {
      for (auto& of_row : of_x) std::fill_n(of_row, kSums, hn::Zero(d));
    }
    const auto add = [&](int64_t c, int s) HWY_ATTR {
      Vector weights[kRows];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) weights[r] = LoadWeights(d, rows[r] + c);
#pragma GCC unroll 8
      for (int i = 0; i < kX; ++i) {
        const Vector value = hn::LoadU(d, args.x + i * args.columns + c);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r)
          sums[i][r][s] = hn::MulAdd(value, weights[r], sums[i][r][s]);
      }
    };
    int64_t c = 0;
    for (; c < blocks; c += kBlockColumns) {
      if constexpr (kRows == 1) {
        const auto* const ahead = reinterpret_cast<const std::byte*>(rows[0] + c) + kBytesAhead;
#pragma GCC unroll 4
        for (size_t line = 0; line < sizeof(T); ++line) hwy::Prefetch(ahead + line * 64);
      }
#pragma GCC unroll 16
      for (int v = 0; v < kBlockColumns / kLanes; ++v) add(c + v * kLanes, v % kSums);
    }
    for (; c < whole; c += kLanes) add(c, 0);
    for (int r = 0; r < kRows && row + r < args.num_rows; ++r) {
      float rest[kLanes] = {};
      if (whole < args.columns) WidenOf(rows[r] + whole, args.columns - whole, rest);
      for (int i = 0; i < kX; ++i) {
        Vector sum = sums[i][r][0];
#pragma GCC unroll 4
        for (int s = 1; s < kSums; ++s) sum = hn::Add(sum, sums[i][r][s]);
        float total = hn::GetLane(hn::SumOfLanes(d, sum));
        for (c = whole; c < args.columns; ++c) {
          total += args.x[i * args.columns + c] * rest[c - whole];
        }
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
  WithFloatType(args.format, [&](const auto* type) HWY_ATTR {
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

void Widen(const void* from, int64_t count, WeightFormat format, float* to) {
  WithFloatType(format, [&](const auto* type)
                            HWY_ATTR { WidenOf(static_cast<decltype(type)>(from), count, to); });
}

const char* ChosenInstructionSet() { return hwy::TargetName(HWY_TARGET); }

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(DotRows);
HWY_EXPORT(InverseNorm);
HWY_EXPORT(Widen);
HWY_EXPORT(ChosenInstructionSet);

void DotRows(const DotRowsArgs& args) { HWY_DYNAMIC_DISPATCH(DotRows)(args); }
float InverseNorm(const float* x, int64_t size) {
  return HWY_DYNAMIC_DISPATCH(InverseNorm)(x, size);
}
void Widen(const void* from, int64_t count, WeightFormat format, float* to) {
  HWY_DYNAMIC_DISPATCH(Widen)(from, count, format, to);
}
const char* ChosenInstructionSet() { return HWY_DYNAMIC_DISPATCH(ChosenInstructionSet)(); }

}  // namespace moefy::runtime
#endif
