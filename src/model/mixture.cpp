#include "model/mixture.h"

#include <utility>

namespace moefy::model {

Mixture::Mixture(const MixtureConfig& config, Linear router, Linear shared_gate,
                 const std::vector<std::unique_ptr<FeedForward>>& ffns, size_t first)
    : config_(config),
      router_(std::move(router)),
      shared_gate_(std::move(shared_gate)),
      ffns_(ffns),
      first_(first) {}

at::Tensor Mixture::Forward(const at::Tensor& x) {
  auto [weights, chosen] = Scores(x).softmax(-1).topk(config_.num_chosen, -1);  // [tokens, chosen]
  if (config_.normalised) weights = weights / weights.sum(-1, /*keepdim=*/true);
  at::Tensor y = at::zeros_like(x);
  for (int64_t e = 0; e < config_.num_experts; ++e) {
    const std::vector<at::Tensor> places = (chosen == e).nonzero_numpy();  // tokens, ranks
    const at::Tensor& tokens = places[0];
    if (tokens.numel() == 0) continue;
    const at::Tensor weight = weights.index({tokens, places[1]}).unsqueeze(1);
    const at::Tensor out =
        ffns_[first_ + static_cast<size_t>(e)]->Forward(x.index_select(0, tokens));
    y = y.index_add(0, tokens, out * weight);
  }
  if (!shared_gate_.defined()) return y;
  FeedForward& shared = *ffns_[first_ + static_cast<size_t>(config_.num_experts)];
  return y + shared_gate_(x).sigmoid() * shared.Forward(x);
}

}  // namespace moefy::model
