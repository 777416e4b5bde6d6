#include "route/output_fit.h"

#include <algorithm>

#include "moefy/base/error.h"

namespace moefy::route {
namespace {

// Rows of the Gram matrix that are added up at once; it is symmetric, and half of it is enough.
constexpr int64_t kGramRows = 256;

}  // namespace

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
  // On and below the diagonal; Solve needs no more.
  for (int64_t row = 0; row < ran.size(1); row += kGramRows) {
    const int64_t end = std::min(row + kGramRows, ran.size(1));
    gram_.slice(0, row, end)
        .slice(1, 0, end)
        .add_(at::mm(ran.slice(1, row, end).t(), ran.slice(1, 0, end)), weight);
  }
  right_.add_(at::mm(ran.t(), missing), weight);
}

at::Tensor OutputFit::Solve(double strength) const {
  at::Tensor gram = gram_.to(at::kDouble);
  for (int64_t row = kGramRows; row < gram.size(0); row += kGramRows) {
    const int64_t end = std::min(row + kGramRows, gram.size(0));
    gram.slice(0, 0, row).slice(1, row, end).copy_(gram.slice(0, row, end).slice(1, 0, row).t());
  }
  // The penalty alone decides for a neuron that never ran: it keeps its weights.
  gram.diagonal().add_(gram.diagonal().mean().clamp_min(1e-12) * strength);
  const at::Tensor factor = at::linalg_cholesky(gram);
  return w_out_ + at::cholesky_solve(right_.to(at::kDouble), factor).to(at::kFloat);
}

}  // namespace moefy::route
