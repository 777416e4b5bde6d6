// How far results may be from what they are compared with, and why.
#pragma once

namespace moefy::tests {

// The sparse kernels against a loop in double precision: |difference| over the sum of the absolute
// values of the terms that were added up. F32 rounds each of some thousand additions to 2^-24; the
// errors mostly cancel, and exp and erfc add a few units in the last place.
inline constexpr double kKernelVersusDouble = 2e-6;

// Two F32 computations of one FFN that add up in different orders (all experts on against the dense
// FFN through BLAS), relative to the largest output.
inline constexpr double kSparseVersusDense = 1e-5;

}  // namespace moefy::tests
