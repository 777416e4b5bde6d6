#include "route/output_fit.h"

#include "moefy/base/error.h"

namespace moefy::route {

OutputFit::OutputFit(const model::FfnWeights& ffn, const at::Tensor& compensation)
    : w_out_(ffn.w_out),
      compensation_(compensation),
      gram_(at::zeros({ffn.num_neurons(), ffn.num_neurons()}, w_out_.options())),
      right_(at::zeros({ffn.num_neurons(), ffn.hidden()}, w_out_.options())) {}

void OutputFit::Add(const at::Tensor& neurons, const ExpertMask& mask, double weight) {
  const at::Tensor ran = MaskNeurons(neurons, mask);
  at::Tensor missing = at::mm(neurons - ran, w_out_);  // [tokens, hidden]
  if (compensation_.defined()) {
    missing.sub_(at::mm(mask.experts.logical_not().to(at::kFloat), compensation_));
  }
  gram_.add_(at::mm(ran.t(), ran), weight);
  right_.add_(at::mm(ran.t(), missing), weight);
}

at::Tensor OutputFit::Solve(double strength) const {
  at::Tensor gram = gram_.to(at::kDouble);
  // The penalty alone decides for a neuron that never ran: it keeps its weights.
  gram.diagonal().add_(gram.diagonal().mean().clamp_min(1e-12) * strength);
  const at::Tensor factor = at::linalg_cholesky(gram);
  return w_out_ + at::cholesky_solve(right_.to(at::kDouble), factor).to(at::kFloat);
}

}  // namespace moefy::route
