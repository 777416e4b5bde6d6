// Which experts and neurons run for each token of a batch, as a mask over all that the dense FFN
// computes: how the trainer measures what a sparse FFN would put out. Pure functions.
#pragma once

#include <ATen/ATen.h>

#include "route/ffn_plan.h"

namespace moefy::route {

struct ExpertMask {
  at::Tensor experts;  // Bool [tokens, experts]
  at::Tensor min_magnitude =
      {};  // [neurons] or undefined: neurons that give less count for nothing
};

// What a plan of the policy top-k (FfnPlanner::ForExperts) runs for tokens with these scores
// [tokens, experts].
ExpertMask MaskFor(const FfnPlan& plan, const at::Tensor& scores);

// neurons [tokens, neurons] with those that do not run put to zero.
at::Tensor MaskNeurons(const at::Tensor& neurons, const ExpertMask& mask);

}  // namespace moefy::route
