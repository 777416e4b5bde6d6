// Products with some rows of a matrix, those that a list names: what runs the chosen neurons of a
// token one by one. Compiled for several instruction sets; a result does not depend on how the list
// is cut up by the caller, but for AddGathered's order of sums. Pure functions.
#pragma once

#include <cstdint>

#include "runtime/weight_format.h"

namespace moefy::runtime {

struct GatheredRows {
  const void* rows = nullptr;  // [...][columns]: F32, BF16, F16, or INT8 (signed)
  WeightFormat format = WeightFormat::kF32;
  int64_t columns = 0;
  const int32_t* chosen = nullptr;  // [count] indices of rows
  int64_t count = 0;
};

// out[i] = row(chosen[i]) . x; of INT8 before the row's scale.
void DotGathered(const GatheredRows& gathered, const float* x, float* out);
// y[columns] += sum over i of factors[i] * row(chosen[i])
void AddGathered(const GatheredRows& gathered, const float* factors, float* y);

}  // namespace moefy::runtime
