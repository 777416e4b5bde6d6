// Makes a Transformer run on our kernels: its linear maps and attention. FFNs are exchanged apart.
#pragma once

#include "moefy/model/transformer.h"
#include "runtime/packed_linear.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

// Packs all linear maps in `format`. In INT8 and INT4 they lie in memory from `store`, if given, as
// "linear.0", "linear.1", ...
void UseKernels(model::Transformer& transformer, WeightFormat format, PackedStore* store = nullptr);

}  // namespace moefy::runtime
