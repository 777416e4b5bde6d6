// The FFN while it is trained: dense, but it counts which neurons fire and asks a price for it, so
// that few do. Put in through the FeedForward seam. One call at a time.
#pragma once

#include <cstdint>

#include "moefy/model/feed_forward.h"
#include "moefy/model/transformer.h"

namespace moefy::example {

class PenalizedFeedForward final : public model::FeedForward {
 public:
  explicit PenalizedFeedForward(model::FfnWeights weights) : weights_(std::move(weights)) {}

  at::Tensor Forward(const at::Tensor& x) override {
    const at::Tensor activations = model::NeuronActivations(weights_, x);  // [tokens, neurons]
    mean_activation_ = activations.mean();
    if (count_) {
      num_active_ += (activations > 0).sum().item<int64_t>();
      num_seen_ += activations.numel();
    }
    return at::linear(activations, weights_.w_out.t(), weights_.b_out);
  }

  // Of the last Forward; differentiable.
  const at::Tensor& mean_activation() const { return mean_activation_; }

  void StartCounting() {
    count_ = true;
    num_active_ = num_seen_ = 0;
  }
  // Share of neurons above 0 since StartCounting, mean per token.
  double StopCounting() {
    count_ = false;
    return static_cast<double>(num_active_) / static_cast<double>(std::max<int64_t>(num_seen_, 1));
  }

 private:
  model::FfnWeights weights_;
  at::Tensor mean_activation_;
  bool count_ = false;
  int64_t num_active_ = 0, num_seen_ = 0;
};

// Puts one into every place of a model that is dense now; they belong to the model.
inline std::vector<PenalizedFeedForward*> PenalizeAll(model::Transformer& model) {
  std::vector<PenalizedFeedForward*> ffns;
  for (size_t i = 0; i < model.num_ffns(); ++i) {
    auto& dense = dynamic_cast<model::DenseFeedForward&>(model.feed_forward(i));
    auto ffn = std::make_unique<PenalizedFeedForward>(dense.weights());
    ffns.push_back(ffn.get());
    model.ExchangeFeedForward(i, std::move(ffn));
  }
  return ffns;
}

}  // namespace moefy::example
