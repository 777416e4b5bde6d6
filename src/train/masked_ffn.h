// The split FFN as training sees it: every neuron is computed, and those of experts that were not
// chosen count for nothing. The same output as the sparse runner's, and differentiable; the choice
// itself is not (routers stay as they are). Thread-safety: one call at a time per object.
#pragma once

#include "moefy/model/feed_forward.h"
#include "route/routed_ffn.h"

namespace moefy::train {

class MaskedFeedForward final : public model::FeedForward {
 public:
  // `ffn` is permuted as its plan says. All on one device, the router too.
  MaskedFeedForward(model::FfnWeights ffn, int64_t num_experts, route::RoutedFfn routed);
  at::Tensor Forward(const at::Tensor& x) override;

 private:
  model::FfnWeights ffn_;
  int64_t num_experts_;
  route::RoutedFfn routed_;
};

}  // namespace moefy::train
