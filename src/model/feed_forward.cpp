#include "moefy/model/feed_forward.h"

#include <algorithm>
#include <utility>

namespace moefy::model {

DenseFeedForward::DenseFeedForward(FfnWeights weights) : weights_(std::move(weights)) {}

void FeedForward::ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) {
  const at::Tensor in = at::from_blob(const_cast<float*>(x), {tokens, hidden}, at::kFloat);
  const at::Tensor out = Forward(in).contiguous();
  std::copy_n(out.data_ptr<float>(), tokens * hidden, y);
}

at::Tensor DenseFeedForward::Forward(const at::Tensor& x) {
  const FfnWeights weights = weights_.InF32();
  return at::linear(NeuronActivations(weights, x), weights.w_out.t(), weights.b_out);
}

}  // namespace moefy::model
