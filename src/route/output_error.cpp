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
    : x_(x), w_out_(ffn.w_out), neurons_(model::NeuronActivations(ffn, x)) {
  MOEFY_CHECK(ffn.num_neurons() % num_experts == 0);
  outputs_ = at::mm(neurons_, w_out_);
}

double OutputSample::Error(const at::Tensor& runs, const Stand& stand) const {
  return Ratio(MissingOutput(x_, neurons_, runs, w_out_, stand), outputs_);
}

double OutputSample::VaryingError(const at::Tensor& runs, const Stand& stand) const {
  return Ratio(Centred(MissingOutput(x_, neurons_, runs, w_out_, stand)), Centred(outputs_));
}

double OutputSample::NeuronOracleError(double ratio) const {
  const at::Tensor length = neurons_.abs() * w_out_.norm(2, {1});  // [tokens, neurons]
  const at::Tensor runs = TopKMask(length, NumSelected(ratio, length.size(1)));
  return Ratio(at::mm(neurons_.masked_fill(runs, 0), w_out_), outputs_);
}

at::Tensor MissingOutput(const at::Tensor& x, const at::Tensor& neurons, const at::Tensor& runs,
                         const at::Tensor& w_out, const Stand& stand) {
  at::Tensor missing;
  if (stand.w_out.defined()) {
    missing = at::mm(neurons, w_out) - at::mm(MaskNeurons(neurons, runs), stand.w_out);
  } else {
    missing = at::mm(MaskNeurons(neurons, runs.logical_not()), w_out);
  }
  const at::Tensor drops = runs.logical_not().to(at::kFloat);
  if (stand.compensation.defined()) missing.sub_(at::mm(drops, stand.compensation));
  if (stand.correction.defined()) {
    missing.sub_(drops.mean(1, /*keepdim=*/true) * stand.correction.Of(x));
  }
  return missing;
}

at::Tensor MaskNeurons(const at::Tensor& neurons, const at::Tensor& runs) {
  const int64_t tokens = neurons.size(0), experts = runs.size(1);
  return (neurons.view({tokens, experts, neurons.size(1) / experts}) * runs.unsqueeze(2))
      .view({tokens, neurons.size(1)});
}

}  // namespace moefy::route
