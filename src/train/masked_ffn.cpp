#include "train/masked_ffn.h"

#include <ATen/core/grad_mode.h>

#include "moefy/base/error.h"
#include "runtime/select_experts.h"

namespace moefy::train {
namespace {

// Maps chosen [tokens, k], -1 for none, to [tokens, experts] with 1 where an expert runs.
at::Tensor ToMask(const at::Tensor& chosen, int64_t num_experts) {
  // An additional column takes the places that chose no expert.
  const at::Tensor columns = chosen.masked_fill(chosen < 0, num_experts);
  return at::zeros({chosen.size(0), num_experts + 1}, chosen.device())
      .scatter_(1, columns, 1.0)
      .narrow(1, 0, num_experts);
}

}  // namespace

MaskedFeedForward::MaskedFeedForward(model::FfnWeights ffn, int64_t num_experts,
                                     route::RoutedFfn routed)
    : ffn_(std::move(ffn)), num_experts_(num_experts), routed_(std::move(routed)) {
  MOEFY_CHECK(ffn_.num_neurons() % num_experts_ == 0);
  routed_.router->SetFfn(ffn_);
}

at::Tensor MaskedFeedForward::Forward(const at::Tensor& x) {
  const auto& [router, plan, compensation, correction] = routed_;
  const at::Tensor& min_magnitude = plan.min_magnitude;
  const int64_t tokens = x.size(0);
  at::Tensor mask;  // [tokens, experts]
  {
    const at::NoGradGuard no_grad;
    const at::Tensor scores = router->Scores(x.detach().to(at::kFloat).contiguous());
    mask = ToMask(runtime::SelectExperts(scores, plan.rule), num_experts_).to(x.scalar_type());
  }
  at::Tensor neurons = model::NeuronActivations(ffn_, x);
  if (min_magnitude.defined()) {
    neurons = neurons.masked_fill(neurons.detach().abs() < min_magnitude, 0);
  }
  neurons =
      neurons.view({tokens, num_experts_, ffn_.num_neurons() / num_experts_}) * mask.unsqueeze(2);
  at::Tensor y = at::linear(neurons.flatten(1), ffn_.w_out.t(), ffn_.b_out);
  if (compensation.defined()) y = y + at::matmul(1 - mask, compensation.to(x.scalar_type()));
  if (correction.defined()) y = y + correction.Of(x.to(at::kFloat)).to(x.scalar_type());
  return y;
}

}  // namespace moefy::train
