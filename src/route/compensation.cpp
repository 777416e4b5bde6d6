#include "route/compensation.h"

#include "moefy/base/error.h"
#include "route/expert_mask.h"

namespace moefy::route {
namespace {

// Maps the mean [neurons] F64 of what enters W_out to what each expert then puts out, [experts,
// hidden].
at::Tensor Contributions(const at::Tensor& mean, const model::FfnWeights& ffn, int64_t experts) {
  return at::bmm(mean.to(at::kFloat).view({experts, 1, -1}),
                 ffn.w_out.reshape({experts, -1, ffn.hidden()}))
      .squeeze(1);
}

at::Tensor NoTerms(const ContributionSums&, const model::FfnWeights&) { return {}; }

at::Tensor MeanTerms(const ContributionSums& sums, const model::FfnWeights& ffn) {
  return Contributions(sums.all / std::max(1e-30, sums.tokens), ffn, sums.dropped_tokens.size(0));
}

at::Tensor ConditionalTerms(const ContributionSums& sums, const model::FfnWeights& ffn) {
  const int64_t experts = sums.dropped_tokens.size(0);
  const at::Tensor mean =
      sums.dropped.view({experts, -1}) / sums.dropped_tokens.clamp_min(1e-30).unsqueeze(1);
  return Contributions(mean.view({-1}), ffn, experts);
}

}  // namespace

ContributionSums::ContributionSums(int64_t num_neurons, int64_t num_experts, at::Device device)
    : dropped(at::zeros({num_neurons}, at::device(device).dtype(at::kDouble))),
      dropped_tokens(at::zeros({num_experts}, dropped.options())),
      all(at::zeros_like(dropped)) {}

void ContributionSums::Add(const at::Tensor& neurons, const at::Tensor& runs, double weight) {
  const at::Tensor drops = runs.logical_not();
  dropped.add_(MaskNeurons(neurons, {drops}).sum(0, false, at::kDouble), weight);
  dropped_tokens.add_(drops.sum(0, false, at::kDouble), weight);
  all.add_(neurons.sum(0, false, at::kDouble), weight);
  tokens += weight * static_cast<double>(neurons.size(0));
}

const std::vector<Compensation>& Compensations() {
  static const std::vector<Compensation> compensations = {
      {"none", "nothing", NoTerms},
      {"mean", "what the expert puts out on average", MeanTerms},
      {"conditional", "what it puts out on average where it does not run", ConditionalTerms},
      {"low-rank", "conditional, and a low-rank map of the input for what is still missing",
       ConditionalTerms, /*corrected=*/true},
  };
  return compensations;
}

const Compensation& GetCompensation(const std::string& name) {
  std::vector<std::string> names;
  for (const Compensation& compensation : Compensations()) {
    if (compensation.name == name) return compensation;
    names.push_back(compensation.name);
  }
  throw UsageError("unknown compensation ", Quoted(name), DidYouMean(name, names), "; one of ",
                   Join(names));
}

}  // namespace moefy::route
