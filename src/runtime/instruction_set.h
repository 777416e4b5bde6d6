// Which instructions the kernels run with on this processor. Pure functions.
#pragma once

#include <string>

namespace moefy::runtime {

// The set for which the kernels were compiled that are called here, as Highway names it: "AVX3_DL",
// "AVX2", "NEON", ...
std::string InstructionSet();

}  // namespace moefy::runtime
