// Every numeric tolerance of the tests, each with its reason.
#pragma once

namespace moefy::tests {

// Against outputs recorded from the reference implementation in F32. Its own noise against F64 is
// at most 2e-5; the mildest plausible mistake (tanh GELU for erf GELU) moves logits by 3e-4.
inline constexpr double kReferenceAbsolute = 1e-4;
inline constexpr double kReferenceRelative = 1e-4;

// The sparse kernels against a loop in double precision: |difference| over the sum of the absolute
// values of the terms that were added up. F32 rounds each of some thousand additions to 2^-24; the
// errors mostly cancel, and exp and erfc add a few units in the last place.
inline constexpr double kKernelVersusDouble = 2e-6;

// Two F32 computations of one FFN that add up in different orders (all experts on against the dense
// FFN through BLAS), relative to the largest output.
inline constexpr double kSparseVersusDense = 1e-5;

}  // namespace moefy::tests
