#include "route/routed_ffn.h"

#include <algorithm>

#include "model/device.h"
#include "moefy/base/error.h"
#include "route/analytic_routers.h"
#include "route/router_reader.h"

namespace moefy::route {
namespace {

bool NeedsStore(const Selection& selection) {
  const RouterKind* kind = FindRouterKind(selection.router);
  return selection.router == kStoredRouter || (kind && !kind->from_weights) ||
         selection.policy != Selection::kTopK || selection.neuron_share.value_or(1) < 1;
}

// Per FFN, the share of the running experts' neurons that goes through W_out.
std::vector<double> NeuronShares(const split::MoeCheckpoint& moe, const Selection& selection) {
  if (!selection.neuron_share && selection.router == StoredRouterKind(moe)) {
    return ReadNeuronShares(moe);
  }
  return std::vector<double>(moe.ffns().size(), selection.neuron_share.value_or(1));
}

std::vector<FfnPlan> PlanFfns(const split::MoeCheckpoint& moe, const Selection& selection,
                              double ffn_ratio) {
  const std::vector<double> shares = NeuronShares(moe, selection);
  std::vector<int64_t> budget;
  if (selection.policy == Selection::kBudget) budget = ReadBudget(moe, ffn_ratio);
  std::optional<RelativeShare> relative;
  if (selection.policy == Selection::kRelative) {
    relative = ReadRelativeShare(moe, ffn_ratio);
    if (std::ranges::any_of(shares, [](double share) { return share < 1; })) {
      throw UsageError("--selection ", selection.Text(), " runs whole experts, and the routers of ",
                       moe.directory(), " were trained to run a share of their neurons; ask for ",
                       selection.Text(), "/1");
    }
  }
  std::vector<FfnPlan> plans;
  for (size_t i = 0; i < shares.size(); ++i) {
    const split::MoeFfn& ffn = moe.ffns()[i];
    FfnPlanner planner{ffn.plan.num_experts(), ffn.plan.num_shared(), ffn.spec.gated() ? 3 : 2,
                       shares[i]};
    if (shares[i] < 1) planner.thresholds = ReadNeuronThresholds(moe, i);
    if (selection.policy == Selection::kThreshold) {
      plans.push_back(planner.ForThreshold(ffn_ratio, ReadThresholds(moe, i)));
    } else if (relative) {
      plans.push_back(planner.ForRelative(relative->expert_ratios[i], relative->of_best));
    } else {
      plans.push_back(budget.empty() ? planner.ForRatio(ffn_ratio) : planner.ForExperts(budget[i]));
    }
  }
  return plans;
}

std::shared_ptr<Router> MakeRouter(const split::MoeCheckpoint& moe, const std::string& router,
                                   size_t ffn_idx, uint64_t seed, at::Device device) {
  if (router == StoredRouterKind(moe)) return ReadRouter(moe, ffn_idx, device);
  const int64_t num_experts = moe.ffns()[ffn_idx].plan.num_experts();
  if (router == "random") return std::make_shared<RandomRouter>(num_experts, seed + ffn_idx);
  model::FfnWeights ffn = model::ReadFfnWeights(moe.weights(), moe.ffns()[ffn_idx].spec).To(device);
  for (const Target& target : Targets()) {
    if (router != target.oracle) continue;
    const at::Tensor stand_in = model::OnDevice(ReadCompensation(moe, ffn_idx), device);
    return std::make_shared<OracleRouter>(std::move(ffn), num_experts, target, stand_in);
  }
  return GetRouterKind(router).from_weights(ffn, num_experts);
}

// The stored correction, scaled by the share of the experts that do not run.
Correction ScaledCorrection(const split::MoeCheckpoint& moe, size_t ffn_idx, const FfnPlan& plan) {
  Correction correction = ReadCorrection(moe, ffn_idx);
  if (!correction.defined()) return correction;
  correction.up = correction.up * (1 - plan.expert_ratio);
  correction.bias = correction.bias * (1 - plan.expert_ratio);
  return correction;
}

}  // namespace

std::vector<RoutedFfn> ReadRoutedFfns(const split::MoeCheckpoint& moe, const Selection& given,
                                      double ffn_ratio, uint64_t seed, at::Device device) {
  CheckServes(moe, given);
  const Selection selection = NameStored(moe, given);
  const bool is_stored = selection.router == StoredRouterKind(moe);
  std::vector<RoutedFfn> ffns;
  for (FfnPlan& plan : PlanFfns(moe, selection, ffn_ratio)) {
    const size_t i = ffns.size();
    plan.min_magnitude = model::OnDevice(plan.min_magnitude, device);
    RoutedFfn ffn{MakeRouter(moe, selection.router, i, seed, device), std::move(plan)};
    if (is_stored) {
      ffn.compensation = model::OnDevice(ReadCompensation(moe, i), device);
      ffn.correction = ScaledCorrection(moe, i, ffn.plan).To(device);
    }
    ffns.push_back(std::move(ffn));
  }
  return ffns;
}

bool RunsNeuronwise(const split::MoeCheckpoint& moe, const std::string& router) {
  const std::string stored = StoredRouterKind(moe);
  return stored == kFirstProduct && (router == kStoredRouter || router == stored) &&
         std::ranges::all_of(moe.ffns(), [](const split::MoeFfn& ffn) {
           return ffn.plan.neurons_per_expert() == 1 && ffn.plan.num_shared() == 0;
         });
}

bool AllAreLessWork(const SelectionRule& rule, int64_t num_experts, int64_t neurons_per_expert,
                    double neuron_flops, double router_flops) {
  if (!rule.is_top_k()) return false;  // nobody knows beforehand how many run
  const int64_t left_out = (num_experts - rule.num_chosen()) * neurons_per_expert;
  return static_cast<double>(left_out) * neuron_flops <= router_flops;
}

Selection NameStored(const split::MoeCheckpoint& moe, Selection selection) {
  if (selection.router == kStoredRouter) selection.router = StoredRouterKind(moe);
  return selection;
}

void CheckServes(const split::MoeCheckpoint& moe, const Selection& selection) {
  if (!NeedsStore(selection)) return;
  const std::string stored = StoredRouterKind(moe);
  if (stored.empty()) {
    throw UsageError(moe.directory(), " has no routers yet; run `moefy route-train ",
                     moe.directory(), " --dump DUMP` first, or choose among --selection ",
                     "similarity,representative,random,oracle,oracle-output");
  }
  if (selection.router != kStoredRouter && selection.router != stored) {
    throw UsageError("--selection ", selection.Text(), " needs ", selection.router, " routers; ",
                     moe.directory(), " holds ", stored, " ones; `moefy route-train --router ",
                     selection.router, "` makes them");
  }
  if (!HasPolicy(moe, selection)) {
    throw UsageError("--selection ", selection.Text(), ": the routers of ", moe.directory(),
                     " were stored by an older moefy that did not measure what this needs; run ",
                     "`moefy route-train` again");
  }
}

}  // namespace moefy::route
