#include "runtime/quantize.h"

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
  QuantizeRowOf(x, size, QuantizedSize(size), to.data + row * to.stride, to.scale + row,
                to.sum + row);
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(QuantizeRow);

void QuantizeRow(const float* x, int64_t size, const QuantizedRows& to, int64_t row) {
  HWY_DYNAMIC_DISPATCH(QuantizeRow)(x, size, to, row);
}

QuantizedRows QuantizedBuffer::Rows(int64_t rows, int64_t size) {
  // Rows a multiple of 4 KB apart would compete for the same few cache lines.
  const int64_t stride = (size + 63) / 64 * 64 + 64;
  GrowTo(data_, rows * stride);
  GrowTo(scale_, rows);
  GrowTo(sum_, rows);
  return {data_.data(), stride, scale_.data(), sum_.data()};
}

}  // namespace moefy::runtime
#endif
