// Numbers that JSON cannot hold. Pure functions, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "moefy/base/json.h"

namespace moefy {

// Where NaN and infinities are: "reports[0].rows[1].perplexity.value". FormatJson writes them as
// null.
std::vector<std::string> NonFinitePaths(const Json& json);

}  // namespace moefy
