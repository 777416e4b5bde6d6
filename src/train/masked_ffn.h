// The split FFN as training sees it: it computes every neuron and sets those of experts that were
// not chosen to 0. The output is the sparse FFN's, and differentiable; the choice itself is not,
// because routers stay as they are. Thread-safety: one call at a time per object.
#pragma once

#include "moefy/model/feed_forward.h"
#include "route/routed_ffn.h"

namespace moefy::train {

class MaskedFeedForward final : public model::FeedForward {
 public:
  // `ffn` is permuted as its plan says. Weights and router are on one device.
  MaskedFeedForward(model::FfnWeights ffn, int64_t num_experts, route::RoutedFfn routed);
  at::Tensor Forward(const at::Tensor& x) override;

 private:
  model::FfnWeights ffn_;
  int64_t num_experts_;
  route::RoutedFfn routed_;
};

}  // namespace moefy::train
