#include "runtime/activate_rows.h"

#include <algorithm>

#include "runtime/kernel_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/activate_rows.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>
// After it:
#include "runtime/activations_simd.h"
#include "runtime/weights_simd.h"

HWY_BEFORE_NAMESPACE();
namespace moefy::runtime::HWY_NAMESPACE {

// Maps x [size] in place, the last vector, which may not be whole, on a copy.
HWY_INLINE void MapSpan(const Map& map, float* x, int64_t size) {
  const int64_t whole = size / kLanes * kLanes;
  MapAll(map, x, whole);
  if (whole == size) return;
  alignas(64) float rest[kLanes] = {};
  std::copy_n(x + whole, size - whole, rest);
  MapAll(map, rest, kLanes);
  std::copy_n(rest, size - whole, x + whole);
}

void ActivateRows(const Map& map, float* h, int64_t rows, int64_t size) {
  MapSpan(map, h, rows * size);
}

void ActivateGatedRows(const Map& map, float* h, int64_t rows, int64_t size, float* out) {
  for (int64_t r = 0; r < rows; ++r) {
    float* const gate = h + r * 2 * size;
    MapSpan(map, gate, map.on_both ? 2 * size : size);
    for (int64_t n = 0; n < size; ++n) out[r * size + n] = gate[n] * gate[size + n];
  }
}

}  // namespace moefy::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moefy::runtime {

HWY_EXPORT(ActivateRows);
HWY_EXPORT(ActivateGatedRows);

void ActivateRows(const Map& map, float* h, int64_t rows, int64_t size) {
  HWY_DYNAMIC_DISPATCH(ActivateRows)(map, h, rows, size);
}
void ActivateGatedRows(const Map& map, float* h, int64_t rows, int64_t size, float* out) {
  HWY_DYNAMIC_DISPATCH(ActivateGatedRows)(map, h, rows, size, out);
}

}  // namespace moefy::runtime
#endif
