// The rows of an activation dump as tensors. Apart from the dump, so that what only reads its
// headers needs no LibTorch. Thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>

#include "record/activation_dump.h"

namespace moefy::record {

// Rows [begin, end) of what entered an FFN, as F32 [end - begin, hidden]. Throws Error{kInput} for
// values that are not finite.
at::Tensor ReadRows(const ActivationDump& dump, size_t ffn_idx, int64_t begin, int64_t end);

}  // namespace moefy::record
