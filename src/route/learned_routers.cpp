#include "route/learned_routers.h"

#include "moefy/base/error.h"
#include "route/first_matrices.h"

namespace moefy::route {

MlpRouter::MlpRouter(at::Tensor w1, at::Tensor w2) : w1_(std::move(w1)), w2_(std::move(w2)) {
  MOEFY_CHECK(w1_.dim() == 2 && w2_.dim() == 2 && w2_.size(0) == w2_.size(1) &&
              w1_.size(0) == w2_.size(0));
}

at::Tensor MlpRouter::Scores(const at::Tensor& x) {
  // The few scores are divided by |x| instead of the whole input.
  const at::Tensor length = x.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);  // [tokens, 1]
  return at::mm(at::mm(x, w1_.t()).div_(length).tanh_(), w2_.t());              // [tokens, experts]
}

double MlpRouter::FlopsPerToken() const {
  return 2.0 * static_cast<double>(w1_.numel() + w2_.numel());
}

LinearRouter::LinearRouter(std::string name, at::Tensor w, at::Tensor b)
    : name_(std::move(name)), w_(std::move(w)), b_(std::move(b)) {
  MOEFY_CHECK(w_.dim() == 2 && b_.dim() == 1 && w_.size(0) == b_.size(0));
}

at::Tensor LinearRouter::Scores(const at::Tensor& x) { return at::linear(x, w_, b_); }

double LinearRouter::FlopsPerToken() const { return 2.0 * static_cast<double>(w_.numel()); }

LowRankRouter::LowRankRouter(at::Tensor down, at::Tensor up, at::Tensor b)
    : down_(std::move(down)), up_(std::move(up)), b_(std::move(b)) {
  MOEFY_CHECK(down_.dim() == 2 && up_.dim() == 2 && up_.size(1) == down_.size(0) && b_.dim() == 1 &&
              b_.size(0) == up_.size(0));
}

at::Tensor LowRankRouter::Scores(const at::Tensor& x) {
  return at::linear(at::linear(x, down_), up_, b_);
}

double LowRankRouter::FlopsPerToken() const {
  return 2.0 * static_cast<double>(down_.numel() + up_.numel());
}

RegressionRouter::RegressionRouter(at::Tensor w1, at::Tensor b1, at::Tensor w2, at::Tensor b2)
    : w1_(std::move(w1)), b1_(std::move(b1)), w2_(std::move(w2)), b2_(std::move(b2)) {
  MOEFY_CHECK(w1_.dim() == 2 && w2_.dim() == 2 && w2_.size(1) == w1_.size(0) &&
              b1_.numel() == w1_.size(0) && b2_.numel() == w2_.size(0));
}

at::Tensor RegressionRouter::Scores(const at::Tensor& x) {
  return at::linear(at::linear(x, w1_, b1_).relu_(), w2_, b2_);
}

double RegressionRouter::FlopsPerToken() const {
  return 2.0 * static_cast<double>(w1_.numel() + w2_.numel());
}

SketchRouter::SketchRouter(at::Tensor down, at::Tensor up, at::Tensor bias, at::Tensor length,
                           model::Activation activation)
    : down_(std::move(down)),
      up_(std::move(up)),
      bias_(std::move(bias)),
      length_(std::move(length)),
      activation_(activation) {
  MOEFY_CHECK(down_.dim() == 2 && up_.dim() == 4 && up_.size(3) == down_.size(0) &&
              bias_.sizes() == up_.sizes().slice(0, 3) &&
              length_.sizes() == up_.sizes().slice(1, 2));
}

at::Tensor SketchRouter::Scores(const at::Tensor& x) {
  const at::Tensor sketch = at::mm(x, down_.t());  // [tokens, rank]
  const at::Tensor up = up_.flatten(1, 2);         // [matrices, neurons, rank]
  const at::Tensor products =
      at::matmul(sketch, up.transpose(1, 2)) + bias_.flatten(1).unsqueeze(1);
  const at::Tensor neurons = CombineProducts(products, activation_).abs();  // [tokens, neurons]
  return (neurons.view({x.size(0), length_.size(0), length_.size(1)}) * length_).sum(2);
}

double SketchRouter::FlopsPerToken() const {
  return 2.0 * static_cast<double>(down_.numel() + up_.numel());
}

std::vector<at::Tensor> SketchRouter::Parameters() const { return {down_, up_, bias_, length_}; }

}  // namespace moefy::route
