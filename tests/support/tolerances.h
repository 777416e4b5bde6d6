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

// An FFN with narrower weights against the same FFN in F32, root mean square of the differences
// over that of the outputs. Rounding errors of a weight are uniform within half a step: 2^-9 / sqrt
// 3 relative at most for BF16 (8 bits of precision), 2^-12 / sqrt 3 for F16, and for INT8 half of
// largest / 127, where the largest of some dozen normal weights is about 3: 3 / 254 / sqrt 3. Both
// products add their share, independently of each other; twice that is allowed.
inline constexpr double kBf16VersusF32 = 3e-3;
inline constexpr double kF16VersusF32 = 4e-4;
inline constexpr double kInt8VersusF32 = 2e-2;

// 8-bit activations times 8-bit weights against a double precision loop over the same rounded
// weights, over the sum of the terms' absolute values. A token's numbers are off by at most half of
// largest / 127, where the largest is some times the mean size; so are the hidden activations, and
// an error of one sign in all terms is what the limit allows.
inline constexpr double kInt8VersusDouble = 2e-2;

// Logits of a whole (small) model with narrower weights, all experts on, against F32, both as
// above. Every layer adds its own error and passes on those before it: some times that of one FFN.
inline constexpr double kBf16Logits = 3e-2;
inline constexpr double kF16Logits = 4e-3;
inline constexpr double kInt8Logits = 1e-1;

// Compensation terms: those of all experts are added up and those that ran taken off again, in F32,
// so what should be nothing is a few roundings of the sum of all. Over the largest output.
inline constexpr double kCompensation = 1e-5;

// Router scores in F32 against double precision, over the sum of the terms' absolute values; tanh
// through exp adds an absolute 1e-7 to each hidden unit.
inline constexpr double kRouterVersusDouble = 2e-6;

}  // namespace moefy::tests
