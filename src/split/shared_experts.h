// Splits with shared experts, which run for every token: the neurons that matter most often need no
// router. Source: CMoE (arXiv 2502.04416), section 3.2. Pure functions.
#pragma once

#include "split/splitter.h"

namespace moefy::split {

// A token's neurons that matter are this share of them all: those that contribute most to it
// (model/contribution.h).
inline constexpr double kTopShare = 0.1;

// On how many tokens each neuron is among those that matter, I64 [neurons]. Neurons that tie with
// the last of them count as well; those that contribute nothing do not.
// Error{kInput} for an activation that is not finite.
at::Tensor CountTopTokens(const model::FfnWeights& ffn, const record::RecordedInputs& inputs);

// The first num_shared experts get the neurons that matter on most tokens (ties: the lower index),
// the method splits the others into the remaining experts. Within the shared experts neurons keep
// their order. With num_shared 0 it is the method alone.
// Needs request.inputs, and num_shared below request.num_experts. Throws what the method throws.
ExpertPlan SplitWithShared(const Splitter& splitter, const SplitRequest& request,
                           int64_t num_shared);

}  // namespace moefy::split
