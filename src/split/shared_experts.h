// Splits with shared experts, which run for every token, so that the neurons that matter most often
// need no router. Source: CMoE (arXiv 2502.04416), section 3.2. Pure functions.
#pragma once

#include "split/splitter.h"

namespace moefy::split {

// Counts on how many tokens each neuron matters, I64 [neurons]: it is among the tenth that
// contribute most (model/contribution.h). Neurons that tie with the last of them count as well, and
// those that contribute nothing do not. Throws Error{kInput} for an activation that is not finite.
at::Tensor CountTopTokens(const model::FfnWeights& ffn, const record::RecordedInputs& inputs);

// Gives the first num_shared experts the neurons that matter on most tokens (of equal ones the
// lower index), in their old order, and lets the method split the others into the remaining
// experts. With num_shared 0 the method splits all. Needs request.inputs unless num_shared is 0,
// and num_shared below request.num_experts. Throws what the method throws.
ExpertPlan SplitWithShared(const Splitter& splitter, const SplitRequest& request,
                           int64_t num_shared);

}  // namespace moefy::split
