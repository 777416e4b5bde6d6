#include "model/contribution.h"

#include <ATen/core/grad_mode.h>

namespace moefy::model {
namespace {

// The index at which the sorted contributions have summed to `share` of the total, I64 [tokens].
at::Tensor CountTo(double share, const at::Tensor& running) {
  const at::Tensor total = running.select(1, -1);
  // Rounding must not ask for a neuron more: contributions are F32.
  const at::Tensor wanted = (total * (share - 1e-7)).unsqueeze(1);
  return at::where(total > 0, (running < wanted).sum(1) + 1, at::zeros({}, at::kLong));
}

at::Tensor RunningSum(const at::Tensor& sorted) { return at::cumsum(sorted, 1, at::kDouble); }

}  // namespace

at::Tensor NeuronsNeeded(const at::Tensor& contributions, const std::vector<double>& shares) {
  const at::Tensor running = RunningSum(std::get<0>(contributions.sort(1, /*descending=*/true)));
  std::vector<at::Tensor> counts;
  for (const double share : shares) counts.push_back(CountTo(share, running));
  return at::stack(counts);
}

NeuronUse UseNeurons(const FfnWeights& ffn, const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  const at::Tensor down_in = NeuronActivations(ffn, x);
  NeuronUse use;
  use.contributions = down_in.abs() * ffn.w_out.norm(2, 1);
  if (HasExactZeros(ffn)) {
    use.fires = down_in != 0;
    return use;
  }
  const at::Tensor sorted = std::get<0>(use.contributions.sort(1, /*descending=*/true));
  const at::Tensor last = (CountTo(kFiringShare, RunningSum(sorted)) - 1).clamp_min(0);
  const at::Tensor least = sorted.gather(1, last.unsqueeze(1));
  use.fires = use.contributions.ge(least).logical_and(use.contributions > 0);
  return use;
}

}  // namespace moefy::model
