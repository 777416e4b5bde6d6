// The split FFN as training sees it: every neuron is computed, and those of experts that were not
// chosen count for nothing. The same output as the sparse runner's, and differentiable; the choice
// itself is not (routers stay as they are). Thread-safety: one call at a time per object.
#pragma once

#include <memory>

#include "moefy/model/feed_forward.h"
#include "moefy/route/router.h"
#include "moefy/runtime/sparse_ffn.h"

namespace moefy::train {

class MaskedFeedForward final : public model::FeedForward {
 public:
  // `ffn` is permuted as its plan says. `compensation` [experts, hidden] stands in for experts that
  // do not run; undefined for none. All on one device, `router` too.
  MaskedFeedForward(model::FfnWeights ffn, int64_t num_experts,
                    std::shared_ptr<route::Router> router, const runtime::SelectionRule& rule,
                    at::Tensor compensation);
  at::Tensor Forward(const at::Tensor& x) override;

 private:
  model::FfnWeights ffn_;
  int64_t num_experts_;
  std::shared_ptr<route::Router> router_;
  runtime::SelectionRule rule_;
  at::Tensor compensation_;
};

}  // namespace moefy::train
