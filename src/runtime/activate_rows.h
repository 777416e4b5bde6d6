// What lies between the products of an FFN that runs as a whole: the activation, row by row.
#pragma once

#include <cstdint>

#include "runtime/activation_map.h"

namespace moefy::runtime {

// Maps h [rows, size] in place. Of a gated FFN, h is [rows, 2 size], what W_gate gives before what
// W_in gives, and `out` [rows, size] gets map(gate) * in, where `in` is mapped too if the map is on
// both. Compiled for several instruction sets. Pure functions.
void ActivateRows(const Map& map, float* h, int64_t rows, int64_t size);
void ActivateGatedRows(const Map& map, float* h, int64_t rows, int64_t size, float* out);

}  // namespace moefy::runtime
