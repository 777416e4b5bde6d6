// Makes a Transformer run on our kernels: its linear maps and attention. FFNs are exchanged apart.
#pragma once

#include <functional>

#include "moefy/model/transformer.h"
#include "runtime/packed_linear.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

// Packs all linear maps in `format`; `see`, if given, looks at each. In F32 a packed map shares its
// weight, or holds a copy if the weight is to be read from memory and not from a mapped file. In
// INT8 and INT4 they lie in memory from `store`, if given, as "linear.0", "linear.1", ...
void UseKernels(model::Transformer& transformer, WeightFormat format, bool copy,
                PackedStore* store = nullptr,
                const std::function<void(const PackedLinear&)>& see = nullptr);

}  // namespace moefy::runtime
