#include "runtime/gather_rows.h"

#include <hwy/base.h>

#include <cstddef>
#include <type_traits>

#include "runtime/kernel_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/gather_rows.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

HWY_INLINE Vector LoadWeights(Tag d, const int8_t* from) {
  const hn::Rebind<int32_t, Tag> di;
  return hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(hn::Rebind<int8_t, Tag>(), from)));
}

// One weight, for the columns behind the last whole vector.
template <class T>
HWY_INLINE float WeightOf(const T& weight) {
  if constexpr (std::is_same_v<T, int8_t>) {
    return weight;
  } else {
    float wide;
    WidenOf(&weight, 1, &wide);
    return wide;
  }
}

template <class Function>
HWY_INLINE void WithRowType(WeightFormat format, const Function& function) {
  if (format == WeightFormat::kInt8) return function(static_cast<const int8_t*>(nullptr));
  WithFloatType(format, function);
}

// Asks for a row that comes later in the list, because the processor cannot guess which it is, so
// far ahead that it is there when it is wanted.
constexpr int64_t kBytesAhead = 4096;
template <class T>
HWY_INLINE void PrefetchRow(const GatheredRows& gathered, const T* rows, int64_t i) {
  const int64_t bytes = gathered.columns * static_cast<int64_t>(sizeof(T));
  i += 1 + kBytesAhead / bytes;
  if (i >= gathered.count) return;
  const auto* const row =
      reinterpret_cast<const std::byte*>(rows + gathered.chosen[i] * gathered.columns);
  for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(row + line, 0, 3);
}

template <class T>
HWY_INLINE void DotOf(const GatheredRows& gathered, const T* rows, const float* x, float* out) {
  const Tag d;
  const int64_t columns = gathered.columns, whole = columns / kLanes * kLanes;
  const int64_t pairs = columns / (2 * kLanes) * 2 * kLanes;
  for (int64_t i = 0; i < gathered.count; ++i) {
    PrefetchRow(gathered, rows, i);
    const T* const row = rows + gathered.chosen[i] * columns;
    Vector even = hn::Zero(d), odd = hn::Zero(d);
    for (int64_t c = 0; c < pairs; c += 2 * kLanes) {
      even = hn::MulAdd(hn::LoadU(d, x + c), LoadWeights(d, row + c), even);
      odd = hn::MulAdd(hn::LoadU(d, x + c + kLanes), LoadWeights(d, row + c + kLanes), odd);
    }
    if (pairs < whole) {
      even = hn::MulAdd(hn::LoadU(d, x + pairs), LoadWeights(d, row + pairs), even);
    }
    float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
    for (int64_t c = whole; c < columns; ++c) total += x[c] * WeightOf(row[c]);
    out[i] = total;
  }
}

// Four rows at a time, so that y is read and written for four products.
template <class T>
HWY_INLINE void AddOf(const GatheredRows& gathered, const T* rows, const float* factors, float* y) {
  constexpr int64_t kRows = 4;
  const Tag d;
  const int64_t columns = gathered.columns, whole = columns / kLanes * kLanes;
  for (int64_t i = 0; i < gathered.count; i += kRows) {
    const T* row[kRows];
    float factor[kRows];
    for (int64_t r = 0; r < kRows; ++r) {
      PrefetchRow(gathered, rows, i + kRows + r);
      const bool there = i + r < gathered.count;  // else the last again, times nothing
      row[r] = rows + gathered.chosen[there ? i + r : gathered.count - 1] * columns;
      factor[r] = there ? factors[i + r] : 0.0f;
    }
    for (int64_t c = 0; c < whole; c += kLanes) {
      Vector sum = hn::LoadU(d, y + c);
#pragma GCC unroll 4
      for (int64_t r = 0; r < kRows; ++r) {
        sum = hn::MulAdd(hn::Set(d, factor[r]), LoadWeights(d, row[r] + c), sum);
      }
      hn::StoreU(sum, d, y + c);
    }
    for (int64_t c = whole; c < columns; ++c) {
      for (int64_t r = 0; r < kRows; ++r) y[c] += factor[r] * WeightOf(row[r][c]);
    }
  }
}

void DotGathered(const GatheredRows& gathered, const float* x, float* out) {
  WithRowType(gathered.format, [&](const auto* type) HWY_ATTR {
    DotOf(gathered, static_cast<decltype(type)>(gathered.rows), x, out);
  });
}

void AddGathered(const GatheredRows& gathered, const float* factors, float* y) {
  WithRowType(gathered.format, [&](const auto* type) HWY_ATTR {
    AddOf(gathered, static_cast<decltype(type)>(gathered.rows), factors, y);
  });
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(DotGathered);
HWY_EXPORT(AddGathered);

void DotGathered(const GatheredRows& gathered, const float* x, float* out) {
  HWY_DYNAMIC_DISPATCH(DotGathered)(gathered, x, out);
}
void AddGathered(const GatheredRows& gathered, const float* factors, float* y) {
  HWY_DYNAMIC_DISPATCH(AddGathered)(gathered, factors, y);
}

}  // namespace moefy::runtime
#endif
