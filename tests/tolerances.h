// Every numeric tolerance of the tests, each with its reason.
#pragma once

namespace moefy::tests {

// Against outputs recorded from the reference implementation in F32. Its own noise against F64 is
// at most 2e-5; the mildest plausible mistake (tanh GELU for erf GELU) moves logits by 3e-4.
inline constexpr double kReferenceAbsolute = 1e-4;
inline constexpr double kReferenceRelative = 1e-4;

}  // namespace moefy::tests
