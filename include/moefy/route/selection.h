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

// The same for one token: scores[first, experts) -> out[k]. `keys` is room for so many scores.
void SelectTopK(const float* scores, int64_t first, int64_t experts, int64_t k, uint64_t* keys,
                int32_t* out);

}  // namespace moefy::route
