// Dynamic k: one threshold for all tokens of an FFN, so that an easy token runs fewer experts
// (D2DMoE, arXiv 2310.04361, and others). Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace moefy::route {

// scores [tokens, experts] -> F32 [101]: entry i is the score that i % of all pairs of a token and
// an expert reach. The first num_shared experts are left out.
at::Tensor ThresholdTable(const at::Tensor& scores, int64_t num_shared = 0);

// The threshold with which a mean share ffn_ratio of the experts runs, where `shared_ratio` of them
// are shared: -infinity for 1, and infinity where only the shared ones may run. Throws
// Error{kUsage} unless ffn_ratio is in (0, 1].
float ThresholdFor(const at::Tensor& table, double ffn_ratio, double shared_ratio = 0);

}  // namespace moefy::route
