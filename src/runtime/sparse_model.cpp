#include "runtime/sparse_model.h"

#include <malloc.h>

#include <algorithm>

#include "model/device.h"
#include "moefy/base/error.h"
#include "route/analytic_routers.h"
#include "route/router_store.h"
#include "route/selection.h"
#include "runtime/packed_linear.h"

namespace moefy::runtime {
namespace {

void CheckSelection(const route::Selection& selection, const std::string& text,
                    const split::MoeCheckpoint& moe) {
  const route::RouterKind* kind = route::FindRouterKind(selection.router);
  const bool needs_store =
      selection.router == route::kStoredRouter || (kind && !kind->from_weights) ||
      selection.policy != route::Selection::kTopK || selection.neuron_share.value_or(1) < 1;
  if (!needs_store) return;
  const std::string stored = route::StoredRouterKind(moe);
  if (stored.empty()) {
    throw UsageError(moe.directory(), " has no routers yet; run `moefy route-train ",
                     moe.directory(), " --dump DUMP` first, or choose among --selection ",
                     "similarity,representative,random,oracle,oracle-output");
  }
  if (selection.router != route::kStoredRouter && selection.router != stored) {
    throw UsageError("--selection ", text, " needs ", selection.router, " routers; ",
                     moe.directory(), " holds ", stored, " ones; `moefy route-train --router ",
                     selection.router, "` makes them");
  }
  if (!route::HasPolicy(moe, selection)) {
    throw UsageError("--selection ", text, ": the routers of ", moe.directory(),
                     " were stored by an older moefy that did not measure what this needs; run ",
                     "`moefy route-train` again");
  }
}

// Of the neurons of running experts those that go through W_out, per FFN.
std::vector<double> NeuronShares(const split::MoeCheckpoint& moe,
                                 const route::Selection& selection) {
  if (!selection.neuron_share && selection.router == route::StoredRouterKind(moe)) {
    return route::ReadNeuronShares(moe);
  }
  return std::vector<double>(moe.ffns().size(), selection.neuron_share.value_or(1));
}

// What each FFN runs for the ratio.
std::vector<route::FfnPortion> Portions(const split::MoeCheckpoint& moe,
                                        const route::Selection& selection, double ffn_ratio) {
  const std::vector<double> shares = NeuronShares(moe, selection);
  std::vector<int64_t> budget;
  if (selection.policy == route::Selection::kBudget) budget = route::ReadBudget(moe, ffn_ratio);
  const bool counted = selection.policy != route::Selection::kThreshold;
  std::vector<route::FfnPortion> portions;
  for (size_t i = 0; i < shares.size(); ++i) {
    const int64_t num_experts = moe.ffns()[i].plan.num_experts();
    const int64_t whole =
        budget.empty() ? route::NumSelected(ffn_ratio, num_experts, moe.ffns()[i].plan.num_shared())
                       : budget[i];
    const double work =
        counted ? static_cast<double>(whole) : ffn_ratio * static_cast<double>(num_experts);
    portions.push_back(route::PortionFor(work, shares[i], num_experts,
                                         moe.ffns()[i].spec.gated() ? 3 : 2, counted));
  }
  return portions;
}

SelectionRule RuleFor(const split::MoeCheckpoint& moe, size_t ffn_idx, const std::string& policy,
                      const route::FfnPortion& portion) {
  const int64_t num_experts = moe.ffns()[ffn_idx].plan.num_experts();
  SelectionRule rule;
  rule.num_shared = moe.ffns()[ffn_idx].plan.num_shared();
  rule.num_selected = static_cast<int64_t>(portion.num_experts) - rule.num_shared;
  if (policy == route::Selection::kThreshold) {
    const auto all = static_cast<double>(num_experts);
    rule.num_selected = num_experts - rule.num_shared;  // at most
    rule.threshold =
        route::ThresholdFor(route::ReadThresholds(moe, ffn_idx), portion.num_experts / all,
                            static_cast<double>(rule.num_shared) / all);
  }
  return rule;
}

std::shared_ptr<route::Router> MakeRouter(const split::MoeCheckpoint& moe,
                                          const std::string& router, size_t ffn_idx, uint64_t seed,
                                          at::Device device) {
  if (router == route::StoredRouterKind(moe)) return route::ReadRouter(moe, ffn_idx, device);
  const int64_t num_experts = moe.ffns()[ffn_idx].plan.num_experts();
  if (router == "random") {
    return std::make_shared<route::RandomRouter>(num_experts, seed + ffn_idx);
  }
  model::FfnWeights ffn = model::ReadFfnWeights(moe.weights(), moe.ffns()[ffn_idx].spec).To(device);
  for (const route::Target& target : route::Targets()) {
    if (router == target.oracle) {
      const at::Tensor stand_in = model::OnDevice(route::ReadCompensation(moe, ffn_idx), device);
      return std::make_shared<route::OracleRouter>(std::move(ffn), num_experts, target, stand_in);
    }
  }
  return route::GetRouterKind(router).from_weights(ffn, num_experts);
}

// Scaled by the share of the experts that do not run.
route::Correction CorrectionFor(const split::MoeCheckpoint& moe, size_t ffn_idx,
                                const route::FfnPortion& portion) {
  route::Correction correction = route::ReadCorrection(moe, ffn_idx);
  if (!correction.defined()) return correction;
  const split::ExpertPlan& plan = moe.ffns()[ffn_idx].plan;
  const double running = std::max(portion.num_experts, static_cast<double>(plan.num_shared())) /
                         static_cast<double>(plan.num_experts());
  correction.up = correction.up * (1 - running);
  correction.bias = correction.bias * (1 - running);
  return correction;
}

}  // namespace

std::vector<FfnSelection> SelectionOf(const split::MoeCheckpoint& moe, const std::string& selection,
                                      double ffn_ratio, uint64_t seed, at::Device device) {
  CheckSelections({selection}, {&moe});
  const route::Selection parsed = route::ParseSelection(NameSelection(moe, selection));
  const std::vector<route::FfnPortion> portions = Portions(moe, parsed, ffn_ratio);
  const bool compensated = parsed.router == route::StoredRouterKind(moe);
  std::vector<FfnSelection> selections;
  for (size_t i = 0; i < portions.size(); ++i) {
    FfnSelection of_ffn{MakeRouter(moe, parsed.router, i, seed, device),
                        RuleFor(moe, i, parsed.policy, portions[i])};
    if (portions[i].neuron_share < 1) {
      const double running =
          portions[i].num_experts / static_cast<double>(moe.ffns()[i].plan.num_experts());
      of_ffn.min_magnitude = route::ReadNeuronThresholds(moe, i)
                                 .MinMagnitude(running, portions[i].neuron_share)
                                 .to(device);
    }
    if (compensated) {
      of_ffn.compensation = model::OnDevice(route::ReadCompensation(moe, i), device);
      of_ffn.correction = CorrectionFor(moe, i, portions[i]).To(device);
    }
    selections.push_back(std::move(of_ffn));
  }
  return selections;
}

std::unique_ptr<SparseFeedForward> MakeSparse(std::shared_ptr<const ExpertWeights> packed,
                                              const FfnSelection& selection) {
  if (selection.compensation.defined() || selection.min_magnitude.defined()) {
    ExpertWeights experts = *packed;  // shares the weights
    if (selection.compensation.defined()) {
      experts = WithCompensation(std::move(experts), selection.compensation);
    }
    if (selection.min_magnitude.defined()) {
      experts = WithMinMagnitude(std::move(experts), selection.min_magnitude);
    }
    packed = std::make_shared<const ExpertWeights>(std::move(experts));
  }
  return std::make_unique<SparseFeedForward>(std::move(packed), selection.router, selection.rule,
                                             selection.correction);
}

SparseModel::SparseModel(const split::MoeCheckpoint& moe, uint64_t seed, WeightFormat format,
                         Progress& progress)
    : moe_(moe),
      seed_(seed),
      transformer_(model::LoadTransformer(moe.weights(), nullptr, model::Parts::kForExchange)) {
  transformer_.ExchangeLinears([&](const at::Tensor& weight, const at::Tensor& bias) {
    // In F32 a packed map shares its weight, and a mapped file is slower to read than memory.
    return std::make_shared<const PackedLinear>(
        format == WeightFormat::kF32 ? weight.clone() : weight, bias, format);
  });
  // What packing frees would stay, and add up to a fifth of the weights.
  malloc_trim(0);
  progress.Begin("packing experts", moe.ffns().size(), "FFNs");
  for (const split::MoeFfn& ffn : moe.ffns()) {
    experts_.push_back(std::make_shared<const ExpertWeights>(PackExperts(
        model::ReadFfnWeights(moe.weights(), ffn.spec), ffn.plan.num_experts(), format)));
    malloc_trim(0);
    progress.Advance(1);
  }
  progress.End(WeightFormatName(format));
}

void SparseModel::Install(const std::string& selection, double ffn_ratio) {
  const std::vector<FfnSelection> selections = SelectionOf(moe_, selection, ffn_ratio, seed_);
  installed_.clear();
  for (size_t ffn_idx = 0; ffn_idx < experts_.size(); ++ffn_idx) {
    auto sparse = MakeSparse(experts_[ffn_idx], selections[ffn_idx]);
    installed_.push_back(sparse.get());
    transformer_.ExchangeFeedForward(ffn_idx, std::move(sparse));
  }
}

SparseCounters SparseModel::Counters() const {
  SparseCounters total;
  for (const SparseFeedForward* ffn : installed_) total += ffn->counters();
  return total;
}

double SparseModel::DenseFlops() const {
  double flops = 0;
  for (size_t i = 0; i < installed_.size(); ++i) {
    const model::FfnSpec& spec = moe_.ffns()[i].spec;
    const double per_token =
        (spec.gated() ? 6.0 : 4.0) * static_cast<double>(spec.hidden * spec.num_neurons);
    flops += per_token * static_cast<double>(installed_[i]->counters().tokens);
  }
  return flops;
}

std::string NameSelection(const split::MoeCheckpoint& moe, const std::string& selection) {
  const std::string stored = route::kStoredRouter;
  return route::ParseSelection(selection).router == stored
             ? route::StoredRouterKind(moe) + selection.substr(stored.size())
             : selection;
}

void CheckSelections(const std::vector<std::string>& selections,
                     const std::vector<const split::MoeCheckpoint*>& models) {
  for (const std::string& text : selections) {
    const route::Selection selection = route::ParseSelection(text);
    for (const split::MoeCheckpoint* moe : models) CheckSelection(selection, text, *moe);
  }
}

}  // namespace moefy::runtime
