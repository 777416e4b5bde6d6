// How the weights of a running model are stored in memory. Inputs and outputs are F32 whatever the
// format; INT8 and INT4 weights are multiplied with inputs quantized to 8 bits
// (runtime/quantize.h). Values, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moefy::runtime {

enum class WeightFormat {
  kF32,
  kBf16,
  kF16,
  kInt8,  // symmetric: one F32 scale for each row, or column of W_out: largest |weight| / 127
  kInt4,  // groups of 32 with an F16 scale and minimum; W_out and output projections in INT8
};

std::string WeightFormatName(WeightFormat format);        // "f32", "bf16", "f16", ...
const std::vector<std::string>& WeightFormatNames();      // in this order
WeightFormat ParseWeightFormat(const std::string& name);  // Error{kUsage} for an unknown name
bool IsQuantized(WeightFormat format);                    // INT8, INT4
// On average, with the scales of groups: 0.625 for INT4.
double MeanBytesPerWeight(WeightFormat format);
int64_t BytesPerWeight(WeightFormat format);  // not for INT4

}  // namespace moefy::runtime
