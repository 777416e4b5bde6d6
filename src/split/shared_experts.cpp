#include "split/shared_experts.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "model/contribution.h"
#include "moefy/base/error.h"
#include "split/neuron_patterns.h"

namespace moefy::split {
namespace {

// The neurons that matter to a token are this share of all, those that contribute most to it
// (model/contribution.h).
constexpr double kTopShare = 0.1;
// Neurons are ranked on at most so many tokens.
constexpr int64_t kRankTokens = 16384;
// A neuron whose gate varies by more than this share of its mean is specialised.
constexpr double kSpecialised = 0.6;

// Keeps these neurons alone: indices I64 [neurons of the result].
model::FfnWeights Only(const model::FfnWeights& ffn, const std::vector<int64_t>& neurons) {
  const at::Tensor rows = at::tensor(at::ArrayRef<int64_t>(neurons));
  model::FfnWeights part = ffn;
  for (at::Tensor* of_neurons : {&part.w_in, &part.b_in, &part.w_gate, &part.b_gate, &part.w_out}) {
    if (of_neurons->defined()) *of_neurons = of_neurons->index_select(0, rows);
  }
  return part;
}

at::Tensor CountMarks(const model::FfnWeights& ffn, const record::RecordedInputs& inputs) {
  at::Tensor counts = at::zeros({ffn.num_neurons()}, at::kLong);
  inputs.Visit(kRankTokens,
               [&](const at::Tensor& x) { counts += MarkLargest(ffn, x).sum(0).to(at::kLong); });
  return counts;
}

at::Tensor MeanGates(const model::FfnWeights& ffn, const record::RecordedInputs& inputs) {
  return GateProfiles(ffn, inputs, kRankTokens).mean(1);
}

}  // namespace

const std::vector<SharedRank>& SharedRanks() {
  static const std::vector<SharedRank> ranks = {
      {"contribution", "most often among a token's tenth that contributes most to the output",
       CountTopTokens},
      {"activation", "most often among a token's ten most active (CMoE's)", CountMarks},
      {"gate", "the most open gate on the mean (ExpertWeaver's)", MeanGates},
  };
  return ranks;
}

const SharedRank& GetSharedRank(const std::string& name) {
  std::vector<std::string> names;
  for (const SharedRank& rank : SharedRanks()) {
    if (rank.name == name) return rank;
    names.push_back(rank.name);
  }
  throw UsageError("--shared-by is ", Quoted(name), DidYouMean(name, names), "; one of ",
                   Join(names));
}

int64_t NumSharedByVariation(const model::FfnWeights& ffn, const record::RecordedInputs& inputs,
                             int64_t num_experts, const std::array<double, 2>& range) {
  const at::Tensor variation = Variation(GateProfiles(ffn, inputs, kRankTokens));
  const double specialised = (variation > kSpecialised).to(at::kDouble).mean().item<double>();
  const double share = range[1] - (range[1] - range[0]) * specialised;
  const int64_t wanted = std::llround(share * static_cast<double>(num_experts));
  return std::clamp<int64_t>(wanted, 0, num_experts - 1);
}

at::Tensor CountTopTokens(const model::FfnWeights& ffn, const record::RecordedInputs& inputs) {
  const int64_t n = ffn.num_neurons();
  const auto num_top = std::max<int64_t>(1, std::llround(kTopShare * static_cast<double>(n)));
  at::Tensor counts = at::zeros({n}, at::kLong);
  inputs.Visit(kRankTokens, [&](const at::Tensor& x) {
    const at::Tensor contributions = model::UseNeurons(ffn, x).contributions;
    if (!contributions.isfinite().all().item<bool>()) {
      throw InputError("an activation is not finite; shared experts cannot be chosen");
    }
    const at::Tensor least = std::get<0>(contributions.topk(num_top, 1)).amin(1, /*keepdim=*/true);
    counts += contributions.ge(least).logical_and(contributions > 0).sum(0);
  });
  return counts;
}

ExpertPlan SplitWithShared(const Splitter& splitter, const SplitRequest& request,
                           int64_t num_shared, const SharedRank& rank) {
  if (num_shared == 0) return splitter.split(request);
  const int64_t n = request.ffn.num_neurons();
  MOEFY_CHECK(request.inputs && 0 < num_shared && num_shared < request.num_experts &&
              n % request.num_experts == 0);
  const at::Tensor ranked = rank.rank(request.ffn, *request.inputs).to(at::kDouble).contiguous();
  const double* ranks = ranked.data_ptr<double>();
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::ranges::greater(), [&](int64_t i) { return ranks[i]; });
  const auto others_begin = order.begin() + n / request.num_experts * num_shared;
  std::sort(order.begin(), others_begin);
  std::sort(others_begin, order.end());

  const std::vector<int64_t> others(others_begin, order.end());
  const model::FfnWeights rest = Only(request.ffn, others);
  SplitRequest of_rest = {rest,
                          request.num_experts - num_shared,
                          request.seed,
                          request.restarts,
                          request.features,
                          request.inputs};
  of_rest.beside = Only(request.ffn, {order.begin(), others_begin});
  const ExpertPlan plan = splitter.split(of_rest);
  std::ranges::transform(plan.order(), others_begin, [&](int64_t i) { return others[i]; });
  return {std::move(order), request.num_experts, num_shared};
}

}  // namespace moefy::split
