// Splits with shared experts, which run for every token, so that the neurons that matter most often
// need no router. Sources: CMoE (arXiv 2502.04416), section 3.2; ExpertWeaver (arXiv 2602.15521),
// section 3.2, for a number of them that each FFN gets by itself. Pure functions.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "split/splitter.h"

namespace moefy::split {

// Counts on how many tokens each neuron matters, I64 [neurons]: it is among the tenth that
// contribute most (model/contribution.h). Neurons that tie with the last of them count as well, and
// those that contribute nothing do not. Throws Error{kInput} for an activation that is not finite.
at::Tensor CountTopTokens(const model::FfnWeights& ffn, const record::RecordedInputs& inputs);

// A way to rank neurons by how much they should be shared.
struct SharedRank {
  std::string name;  // "contribution"
  std::string description;
  // [neurons], of any type: neurons with larger numbers are shared first.
  at::Tensor (*rank)(const model::FfnWeights& ffn, const record::RecordedInputs& inputs);
};
const std::vector<SharedRank>& SharedRanks();
const SharedRank& GetSharedRank(const std::string& name);  // Error{kUsage} lists the names

// The number of shared experts that the FFN deserves, at least 0 and below num_experts: the share
// `range` [least, most] of the neurons, least where the gates of all neurons are specialised, most
// where none is. A neuron is when its gate varies over the text by more than 0.6 of its mean.
int64_t NumSharedByVariation(const model::FfnWeights& ffn, const record::RecordedInputs& inputs,
                             int64_t num_experts, const std::array<double, 2>& range);

// Gives the first num_shared experts the neurons that rank first (of equal ones the lower index),
// in their old order, and lets the method split the others into the remaining experts. With
// num_shared 0 the method splits all. Needs request.inputs unless num_shared is 0, and num_shared
// below request.num_experts. Throws what the method throws.
ExpertPlan SplitWithShared(const Splitter& splitter, const SplitRequest& request,
                           int64_t num_shared, const SharedRank& rank = SharedRanks().front());

}  // namespace moefy::split
