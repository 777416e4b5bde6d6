// As many experts for every token: how many a ratio stands for, and which score highest. The first
// num_shared experts of an FFN run for every token, whatever they score, and count in every number
// (split/shared_experts.h); a router chooses among the others. Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace moefy::route {

// How many whole experts are a share of an FFN's work: round(ffn_ratio * num_experts), at least one
// and at least the shared ones. Throws Error{kUsage} unless the ratio is in (0, 1].
int64_t NumSelected(double ffn_ratio, int64_t num_experts, int64_t num_shared = 0);

// The k experts of each token, the shared ones and the highest-scored others: [tokens, experts] ->
// [tokens, k] I64. The shared ones come first, the others in no order. num_shared <= k.
at::Tensor SelectTopK(const at::Tensor& scores, int64_t k, int64_t num_shared = 0);

// The same choice as Bool [tokens, experts], true where an expert runs.
at::Tensor TopKMask(const at::Tensor& scores, int64_t k, int64_t num_shared = 0);

// The same choice for one token: scores[num_experts] -> out[k]. `keys` has room for a number per
// expert.
void SelectTopK(const float* scores, int64_t num_experts, int64_t k, int64_t num_shared,
                uint64_t* keys, int32_t* out);

// The same choice by the scores' magnitudes and without shared experts, in ascending order: out has
// room for num_experts, and the first k are the choice. NaN counts as the largest. For hundreds of
// small experts, of which a large share runs.
void SelectTopKInOrder(const float* scores, int64_t num_experts, int64_t k, int32_t* out);

}  // namespace moefy::route
