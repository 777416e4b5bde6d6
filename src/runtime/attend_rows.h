// Attention of one head for many queries (model/row_kernels.h): a few queries at a time, so
// that their scores stay in the cache. Keys and values are first copied into tiles. A query's
// result does not depend on the queries beside it.
// Thread-safety: pure; buffers are the calling thread's own, and grow on first use only.
#pragma once

#include "model/row_kernels.h"

namespace moefy::runtime {

void AttendRows(const model::AttentionRows& rows);

}  // namespace moefy::runtime
