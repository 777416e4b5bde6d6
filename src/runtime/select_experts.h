// Chooses each token's experts by their scores, as a rule says: first the shared ones, then the
// best-scored others, in no order, and -1 in the place of those below the threshold. Pure
// functions.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "route/ffn_plan.h"

namespace moefy::runtime {

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
