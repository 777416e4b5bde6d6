// How the weights of a running model are stored in memory. Whatever the format, inputs, sums and
// outputs are F32. Values, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moefy::runtime {

enum class WeightFormat {
  kF32,
  kBf16,
  kF16,
  kInt8,  // symmetric, one F32 scale per row: largest |weight| / 127
};

std::string WeightFormatName(WeightFormat format);        // "f32", "bf16", "f16", "int8"
const std::vector<std::string>& WeightFormatNames();      // in this order
WeightFormat ParseWeightFormat(const std::string& name);  // Error{kUsage} for an unknown name
int64_t BytesPerWeight(WeightFormat format);

}  // namespace moefy::runtime
