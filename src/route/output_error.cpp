#include "route/output_error.h"

#include "moefy/base/error.h"
#include "route/top_k.h"

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

at::Tensor OutputSample::Missing(const ExpertMask& mask, const Substitute& substitute) const {
  return MissingOutput(x_, neurons_, outputs_, mask, w_out_, substitute);
}

double OutputSample::Error(const ExpertMask& mask, const Substitute& substitute) const {
  return Ratio(Missing(mask, substitute), outputs_);
}

OutputErrors OutputSample::Errors(const ExpertMask& mask, const Substitute& substitute) const {
  const at::Tensor missing = Missing(mask, substitute);
  return {Ratio(missing, outputs_), Ratio(Centred(missing), Centred(outputs_))};
}

double OutputSample::NeuronOracleError(double ratio) const {
  const at::Tensor length = neurons_.abs() * w_out_.norm(2, {1});  // [tokens, neurons]
  const at::Tensor runs = TopKMask(length, NumSelected(ratio, length.size(1)));
  return Ratio(at::mm(neurons_.masked_fill(runs, 0), w_out_), outputs_);
}

at::Tensor MissingOutput(const at::Tensor& x, const at::Tensor& neurons, const at::Tensor& outputs,
                         const ExpertMask& mask, const at::Tensor& w_out,
                         const Substitute& substitute) {
  const at::Tensor ran = MaskNeurons(neurons, mask);
  at::Tensor missing = substitute.w_out.defined() ? outputs - at::mm(ran, substitute.w_out)
                                                  : at::mm(neurons - ran, w_out);
  const at::Tensor drops = mask.experts.logical_not().to(at::kFloat);
  if (substitute.compensation.defined()) missing.sub_(at::mm(drops, substitute.compensation));
  if (substitute.correction.defined()) {
    missing.sub_(drops.mean(1, /*keepdim=*/true) * substitute.correction.Of(x));
  }
  return missing;
}

}  // namespace moefy::route
