#include "runtime/weight_format.h"

#include <algorithm>

#include "moefy/base/error.h"

namespace moefy::runtime {

const std::vector<std::string>& WeightFormatNames() {
  static const std::vector<std::string> names = {"f32", "bf16", "f16", "int8", "int4"};
  return names;
}

std::string WeightFormatName(WeightFormat format) {
  return WeightFormatNames().at(static_cast<size_t>(format));
}

WeightFormat ParseWeightFormat(const std::string& name) {
  const std::vector<std::string>& names = WeightFormatNames();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw UsageError("unknown weights ", Quoted(name), DidYouMean(name, names), "; one of ",
                     Join(names));
  }
  return static_cast<WeightFormat>(found - names.begin());
}

bool IsQuantized(WeightFormat format) {
  return format == WeightFormat::kInt8 || format == WeightFormat::kInt4;
}

double MeanBytesPerWeight(WeightFormat format) {
  return format == WeightFormat::kInt4 ? 0.625 : static_cast<double>(BytesPerWeight(format));
}

int64_t BytesPerWeight(WeightFormat format) {
  MOEFY_CHECK(format != WeightFormat::kInt4);
  constexpr int64_t kBytes[] = {4, 2, 2, 1};
  return kBytes[static_cast<size_t>(format)];
}

}  // namespace moefy::runtime
