#include "moefy/route/output_error.h"

#include "moefy/base/error.h"
#include "moefy/route/selection.h"

namespace moefy::route {
namespace {

double SquaredSum(const at::Tensor& t) { return t.square().sum(at::kDouble).item<double>(); }

double Ratio(const at::Tensor& missing, const at::Tensor& outputs) {
  const double total = SquaredSum(outputs);
  return total == 0 ? 0 : SquaredSum(missing) / total;
}

at::Tensor Centred(const at::Tensor& rows) { return rows - rows.mean(0, /*keepdim=*/true); }

}  // namespace

OutputSample::OutputSample(const model::FfnWeights& ffn, const at::Tensor& x, int64_t num_experts)
    : w_out_(ffn.w_out), neurons_(model::NeuronActivations(ffn, x)) {
  MOEFY_CHECK(ffn.num_neurons() % num_experts == 0);
  outputs_ = at::mm(neurons_, w_out_);
}

at::Tensor OutputSample::Missing(const at::Tensor& runs, const Stand& stand) const {
  at::Tensor missing;
  if (stand.w_out.defined()) {
    missing = outputs_ - at::mm(MaskNeurons(neurons_, runs), stand.w_out);
  } else {
    missing = at::mm(MaskNeurons(neurons_, runs.logical_not()), w_out_);
  }
  if (stand.compensation.defined()) {
    missing.sub_(at::mm(runs.logical_not().to(at::kFloat), stand.compensation));
  }
  return missing;
}

double OutputSample::Error(const at::Tensor& runs, const Stand& stand) const {
  return Ratio(Missing(runs, stand), outputs_);
}

double OutputSample::VaryingError(const at::Tensor& runs, const Stand& stand) const {
  return Ratio(Centred(Missing(runs, stand)), Centred(outputs_));
}

double OutputSample::NeuronOracleError(double ratio) const {
  const at::Tensor length = neurons_.abs() * w_out_.norm(2, {1});  // [tokens, neurons]
  const at::Tensor runs = TopKMask(length, NumSelected(ratio, length.size(1)));
  return Ratio(at::mm(neurons_.masked_fill(runs, 0), w_out_), outputs_);
}

at::Tensor MaskNeurons(const at::Tensor& neurons, const at::Tensor& runs) {
  const int64_t tokens = neurons.size(0), experts = runs.size(1);
  return (neurons.view({tokens, experts, neurons.size(1) / experts}) * runs.unsqueeze(2))
      .view({tokens, neurons.size(1)});
}

}  // namespace moefy::route
