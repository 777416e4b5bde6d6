// Inner loops along rows: y = x W^T for a few rows of x, and what else runs along rows.
// The loops are compiled for several instruction sets; the first call chooses the best one that the
// machine has. A result depends only on the token and the expert it belongs to, never on how many
// tokens are given together: every sum runs over the same terms in the same order. Pure functions.
#pragma once

#include <cstdint>

#include "runtime/weight_format.h"

namespace moefy::runtime {

// y = x W^T of some rows of W, which are stored one after the other.
struct DotRowsArgs {
  const float* x = nullptr;  // [num_x][columns]
  int64_t num_x = 0;         // at most kDotRows
  int64_t columns = 0;
  WeightFormat format = WeightFormat::kF32;  // not INT8
  const void* w = nullptr;                   // [num_rows][columns]
  const float* bias = nullptr;               // [num_rows] or null
  int64_t num_rows = 0;
  float* y = nullptr;  // y[i * y_stride + row]
  int64_t y_stride = 0;
};
inline constexpr int64_t kDotRows = 6;

void DotRows(const DotRowsArgs& args);
// 1 / max(|x|, 1e-12)
float InverseNorm(const float* x, int64_t size);
// Converts BF16 or F16 to F32.
void Widen(const void* from, int64_t count, WeightFormat format, float* to);
// The instruction set that the kernels compute with on this machine: "AVX2", "AVX3" (AVX-512), ...
const char* ChosenInstructionSet();

}  // namespace moefy::runtime
