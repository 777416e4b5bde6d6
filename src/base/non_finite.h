// Numbers that JSON cannot hold. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace moefy {

// The paths of NaN and infinities: "reports[0].rows[1].perplexity.value". FormatJson writes these
// numbers as null.
std::vector<std::string> NonFinitePaths(const Json& json);

}  // namespace moefy
