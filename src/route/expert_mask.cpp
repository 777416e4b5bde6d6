#include "route/expert_mask.h"

#include "route/top_k.h"

namespace moefy::route {

ExpertMask MaskFor(const FfnPlan& plan, const at::Tensor& scores) {
  return {TopKMask(scores, plan.rule.num_chosen(), plan.rule.num_shared), plan.min_magnitude};
}

at::Tensor MaskNeurons(const at::Tensor& neurons, const ExpertMask& mask) {
  const int64_t tokens = neurons.size(0), experts = mask.experts.size(1);
  at::Tensor ran =
      (neurons.view({tokens, experts, neurons.size(1) / experts}) * mask.experts.unsqueeze(2))
          .view({tokens, neurons.size(1)});
  if (mask.min_magnitude.defined()) ran.masked_fill_(ran.abs() < mask.min_magnitude, 0);
  return ran;
}

}  // namespace moefy::route
