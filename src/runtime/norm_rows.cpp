#include "runtime/norm_rows.h"

#include <cmath>

#include "runtime/kernel_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/norm_rows.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Adds up function(i) of all whole vectors at i, and of the rest, number by number.
template <class Whole, class One>
HWY_INLINE float SumOf(int64_t width, const Whole& whole, const One& one) {
  const Tag d;
  Vector sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) sum = hn::Add(sum, whole(i));
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; i < width; ++i) total += one(i);
  return total;
}

HWY_INLINE void NormRow(const model::NormRowsArgs& args, const float* x, const float* added,
                        float* sum, float* out) {
  const Tag d;
  const int64_t width = args.width, whole = width / kLanes * kLanes;
  const auto size = static_cast<float>(width);
  if (added) {
    float* const to = sum ? sum : out;
    for (int64_t i = 0; i < whole; i += kLanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, x + i), hn::LoadU(d, added + i)), d, to + i);
    }
    for (int64_t i = whole; i < width; ++i) to[i] = x[i] + added[i];
    x = to;
  }
  float mean = 0;
  if (args.bias) {
    mean = SumOf(
               width, [&](int64_t i) HWY_ATTR { return hn::LoadU(d, x + i); },
               [&](int64_t i) { return x[i]; }) /
           size;
  }
  const Vector middle = hn::Set(d, mean);
  const float squares = SumOf(
      width,
      [&](int64_t i) HWY_ATTR {
        const Vector from_mean = hn::Sub(hn::LoadU(d, x + i), middle);
        return hn::Mul(from_mean, from_mean);
      },
      [&](int64_t i) { return (x[i] - mean) * (x[i] - mean); });
  const float scale = 1.0f / std::sqrt(squares / size + args.epsilon);
  const Vector factor = hn::Set(d, scale);
  for (int64_t i = 0; i < whole; i += kLanes) {
    const Vector normed = hn::Mul(hn::Mul(hn::Sub(hn::LoadU(d, x + i), middle), factor),
                                  hn::LoadU(d, args.weight + i));
    hn::StoreU(args.bias ? hn::Add(normed, hn::LoadU(d, args.bias + i)) : normed, d, out + i);
  }
  for (int64_t i = whole; i < width; ++i) {
    const float normed = (x[i] - mean) * scale * args.weight[i];
    out[i] = args.bias ? normed + args.bias[i] : normed;
  }
}

void NormRows(const model::NormRowsArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    const int64_t first = row * args.width;
    NormRow(args, args.x + first, args.added ? args.added + first : nullptr,
            args.sum ? args.sum + first : nullptr, args.out + first);
  }
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(NormRows);

void NormRows(const model::NormRowsArgs& args) { HWY_DYNAMIC_DISPATCH(NormRows)(args); }

}  // namespace moefy::runtime
#endif
