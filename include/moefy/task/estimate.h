// A figure that was measured on examples, with how sure it is.
#pragma once

#include <cstdint>
#include <optional>

namespace moefy::task {

struct Estimate {
  double value = 0;
  std::optional<double> standard_error = {};  // one unit tells nothing of how units vary
  int64_t count = 0;
};

}  // namespace moefy::task
