// Chooses each token's experts by their scores, as a rule says: first the shared ones, then the
// best-scored others, in no order, and -1 in the place of those below the threshold or below the
// share of the token's best. Pure functions.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "route/ffn_plan.h"

namespace moefy::runtime {

// The score that an expert needs to run for a token: scores [num_experts].
float LeastScore(const float* scores, int64_t num_experts, const route::SelectionRule& rule);

// One token: scores [num_experts] -> out [rule.num_chosen()]. `keys` has room for a number per
// expert.
void SelectRow(const float* scores, int64_t num_experts, const route::SelectionRule& rule,
               uint64_t* keys, int32_t* out);

// Many tokens, in parallel: scores [tokens, num_experts] -> chosen [tokens, rule.num_chosen()].
void SelectRows(const float* scores, int64_t tokens, int64_t num_experts,
                const route::SelectionRule& rule, int64_t* chosen);

// Scores [tokens, experts] from any router on any device -> I64 [tokens, rule.num_chosen()] there.
at::Tensor SelectExperts(const at::Tensor& scores, const route::SelectionRule& rule);

}  // namespace moefy::runtime
