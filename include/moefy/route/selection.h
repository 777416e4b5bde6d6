// From scores to chosen experts. Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace moefy::route {

// Experts to run for a share of the neurons: max(1, round(ffn_ratio * num_experts)), where a ratio
// in (0, 1] is expected. Error{kUsage} otherwise.
int64_t NumSelected(double ffn_ratio, int64_t num_experts);

// The k highest-scored experts of each token: [tokens, experts] -> [tokens, k] I64, unordered.
at::Tensor SelectTopK(const at::Tensor& scores, int64_t k);

}  // namespace moefy::route
