// Norms of rows, and the residual sums before them, in one pass over memory (model/row_kernels.h).
// Compiled for several instruction sets. Pure function, thread-safe.
#pragma once

#include "model/row_kernels.h"

namespace moefy::runtime {

void NormRows(const model::NormRowsArgs& args);

}  // namespace moefy::runtime
