#include "runtime/quantize.h"

#include <algorithm>

#include "base/buffer.h"
#include "runtime/kernel_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/quantize.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include "runtime/quantize_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

void QuantizeRow(const float* x, int64_t size, const QuantizedRows& to, int64_t row) {
  const QuantizedRows at_row = to.From(row);
  for (int64_t group = 0, first = 0; first < size; ++group, first += kGroupColumns) {
    const int64_t count = std::min(kGroupColumns, size - first);
    QuantizeGroup(x + first, count, kGroupColumns, at_row.data + first, at_row.scale + group,
                  at_row.sum + 2 * group);
  }
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(QuantizeRow);

void QuantizeRow(const float* x, int64_t size, const QuantizedRows& to, int64_t row) {
  HWY_DYNAMIC_DISPATCH(QuantizeRow)(x, size, to, row);
}

QuantizedRows QuantizedBuffer::Rows(int64_t rows, int64_t size, int64_t group_columns) {
  // Rows a multiple of 4 KB apart would compete for the same few cache lines.
  const int64_t stride = (size + 63) / 64 * 64 + 64;
  const int64_t groups = (size + group_columns - 1) / group_columns;
  GrowTo(data_, rows * stride);
  GrowTo(scale_, rows * groups);
  GrowTo(sum_, 2 * rows * groups);
  return {data_.data(), stride, scale_.data(), sum_.data(), groups, group_columns};
}

}  // namespace moefy::runtime
#endif
