// Values as ggml's types store them. Pure function.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>
#include <vector>

#include "export/gguf_file.h"

namespace moefy::exports {

// values: F32, whose rows have a multiple of 32 values for the types of blocks. A block of Q8_0 is
// an F16 scale, the largest magnitude over 127, and 32 signed bytes; one of Q4_0 is an F16 scale,
// the value of the largest magnitude over -8, and 16 bytes, of which the i-th has value i in its
// low half and value i + 16 in its high half, 8 standing for zero. Source: ggml's block_q8_0 and
// block_q4_0.
std::vector<std::byte> GgufEncode(const at::Tensor& values, GgufType type);

}  // namespace moefy::exports
