// The mixture of experts that a checkpoint brings with it, in the place of one FFN: a router
// weights all experts by a softmax, and the best few run. Each expert is an FFN of the model's own,
// behind the seam (model/feed_forward.h), and sees only its tokens. Source: modeling_mixtral.py,
// modeling_qwen2_moe.py and modeling_olmoe.py of Hugging Face transformers 4.44 to 4.48.
#pragma once

#include <memory>
#include <vector>

#include "model/layers.h"
#include "moefy/model/config.h"
#include "moefy/model/feed_forward.h"

namespace moefy::model {

// Thread-safety: one call at a time. Differentiable.
class Mixture final : public FeedForward {
 public:
  // The experts are ffns[first], ffns[first + 1], ..., the shared one behind the others; `ffns`
  // outlives the mixture. `router` [experts, hidden]; `shared_gate` [1, hidden], if there is one.
  Mixture(const MixtureConfig& config, Linear router, Linear shared_gate,
          const std::vector<std::unique_ptr<FeedForward>>& ffns, size_t first);

  at::Tensor Forward(const at::Tensor& x) override;
  // The scores before the softmax: x [tokens, hidden] -> [tokens, experts].
  at::Tensor Scores(const at::Tensor& x) const { return router_(x); }

 private:
  const MixtureConfig config_;
  const Linear router_, shared_gate_;
  const std::vector<std::unique_ptr<FeedForward>>& ffns_;
  const size_t first_;
};

}  // namespace moefy::model
