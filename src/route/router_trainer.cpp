#include "route/router_trainer.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "base/stopwatch.h"
#include "moefy/base/error.h"
#include "moefy/base/progress.h"
#include "route/analytic_routers.h"
#include "route/budget.h"
#include "route/compensation.h"
#include "route/expert_mask.h"
#include "route/ffn_plan.h"
#include "route/output_error.h"
#include "route/router_fit.h"
#include "route/substitute_fit.h"
#include "route/threshold.h"
#include "route/top_k.h"
#include "route/training_tokens.h"

namespace moefy::route {
namespace {

// The held-out errors are measured on at most so many tokens, spread evenly.
constexpr int64_t kErrorTokens = 2048;
// A table of thresholds is made from at most so many contributions of neurons.
constexpr int64_t kContributions = 1 << 20;
// Substitutes are found from at most so many tokens.
constexpr int64_t kSumTokens = 16384;

at::Tensor SpreadEvenly(const at::Tensor& rows, int64_t max_rows) {
  const int64_t kept = std::min(max_rows, rows.size(0));
  if (kept == rows.size(0)) return rows;
  return rows.index_select(
      0, (at::arange(kept, rows.options().dtype(at::kLong)) * rows.size(0)).div(kept, "floor"));
}

// The held-out tokens with all that is known of them.
struct HeldOut {
  at::Tensor x, mass;   // [tokens, hidden], [tokens, experts]
  at::Tensor sample_x;  // the part of x that `sample` has
  OutputSample sample;
  const model::FfnWeights& ffn;
  FfnPlanner planner;  // of whole experts

  HeldOut(const model::FfnWeights& weights, const FfnPlanner& whole, const at::Tensor& inputs)
      : x(inputs),
        mass(Importance(GetTarget("mass"), weights, inputs, whole.num_experts)),
        sample_x(SpreadEvenly(inputs, kErrorTokens)),
        sample(weights, sample_x, whole.num_experts),
        ffn(weights),
        planner(whole) {}

  at::Tensor Runs(const at::Tensor& scores, double ratio) const {  // Bool [tokens, experts]
    return MaskFor(planner.ForRatio(ratio), scores).experts;
  }

  RouterQuality Measure(Router& router, double ratio) const {
    const at::Tensor scores = router.Scores(x);
    const at::Tensor chosen = Runs(scores, ratio);
    const at::Tensor relevant = Runs(mass, ratio) & (mass > 0);
    const auto num_relevant = relevant.sum().item<double>();
    RouterQuality quality;
    quality.mass = CaughtShare(scores, mass, planner.ForRatio(ratio).rule);
    quality.recall =
        num_relevant > 0 ? (chosen & relevant).sum().item<double>() / num_relevant : 1.0;
    quality.output_error = Error(router, ratio);
    return quality;
  }
  NeuronThresholds Thresholds(Router& router) const {
    const at::Tensor scores = router.Scores(sample_x), norms = ffn.w_out.norm(2, {1});
    const at::Tensor all =
        (sample.neurons().abs() * norms).view({sample_x.size(0), planner.num_experts, -1});
    std::vector<at::Tensor> tables;
    for (const double ratio : kCurveRatios) {
      const at::Tensor ran = all.masked_select(Runs(scores, ratio).unsqueeze(2));
      tables.push_back(ThresholdTable(SpreadEvenly(ran, kContributions)).to(at::kCPU));
    }
    return {at::stack(tables), norms};
  }
  double Error(Router& router, double ratio) const {
    return sample.Error({Runs(router.Scores(sample_x), ratio)});
  }
};

// What stands in for each expert before any router is there: conditional means over the tokens
// where its output is not among the largest. [experts, hidden]
at::Tensor FirstStandIn(const model::FfnWeights& ffn, int64_t num_experts, const at::Tensor& x,
                        const SelectionRule& rule) {
  ContributionSums sums(ffn.num_neurons(), num_experts, x.device());
  const Target& norm = GetTarget("output-norm");
  for (const at::Tensor& part : x.split(kChunkTokens)) {
    ThrowIfInterrupted();
    const at::Tensor neurons = model::NeuronActivations(ffn, part);
    const at::Tensor scores = norm.importance(ffn, neurons, num_experts, {});
    sums.Add(neurons, TopKMask(scores, rule.num_chosen(), rule.num_shared));
  }
  return GetCompensation("conditional").terms(sums, ffn);
}

void CheckInputs(const record::DumpedFfn& dumped, const model::FfnWeights& ffn) {
  if (dumped.tokens == 0) {
    throw InputError("the activation dump holds no token of ", Quoted(dumped.name),
                     "; a router cannot be trained on nothing");
  }
  if (dumped.hidden != ffn.hidden()) {
    throw InputError("the activation dump's ", Quoted(dumped.name), " is ", dumped.hidden,
                     " wide; the FFN's inputs are ", ffn.hidden());
  }
}

// How the load of the experts that are not shared is spread; see RouterReport.
double LoadEntropy(const at::Tensor& load, int64_t num_shared) {
  const int64_t num_others = load.size(0) - num_shared;
  const at::Tensor others = load.narrow(0, num_shared, num_others);
  const auto total = others.sum().item<double>();
  if (num_others < 2 || total == 0) return 1;
  const at::Tensor share = others / total;
  return -at::xlogy(share, share).sum().item<double>() / std::log(static_cast<double>(num_others));
}

// load [experts]: the share of the held-out tokens that run each expert.
void ReportLoad(const at::Tensor& load, int64_t num_shared, RouterReport& report) {
  report.dead_experts = (load == 0).sum().item<int64_t>();
  report.load_entropy = LoadEntropy(load, num_shared);
  const at::Tensor shares = load.to(at::kCPU).contiguous();
  report.load.assign(shares.data_ptr<float>(), shares.data_ptr<float>() + shares.numel());
}

}  // namespace

TrainedRouter TrainRouter(const model::FfnWeights& given_ffn, int64_t num_experts,
                          const record::ActivationDump& dump, size_t dump_ffn_idx,
                          const RouterTrainOptions& options, int64_t num_shared) {
  const Stopwatch stopwatch;
  const at::NoGradGuard no_grad;
  const record::DumpedFfn& dumped = dump.ffns().at(dump_ffn_idx);
  CheckInputs(dumped, given_ffn);
  const model::FfnWeights ffn = given_ffn.To(options.device);
  const TrainingTokens tokens(dump, dump_ffn_idx, options.held_out, options.max_tokens);
  const at::Tensor first_x = tokens.Pass(0).to(options.device);  // [tokens, hidden]
  FfnPlanner planner{num_experts, num_shared, ffn.w_gate.defined() ? 3 : 2};
  const HeldOut held_out(ffn, planner, tokens.held_out().to(options.device));

  const Target& target = GetTarget(options.target);
  const double ratio = options.metric_ratio;
  const SelectionRule rule = planner.ForRatio(ratio).rule;
  const at::Tensor stand_in =
      target.name == "deviation"
          ? FirstStandIn(ffn, num_experts, SpreadEvenly(first_x, kSumTokens), rule)
          : at::Tensor();
  const auto wanted = [&](const at::Tensor& x) {
    const at::Tensor importance = Importance(target, ffn, x, num_experts, stand_in);
    importance.narrow(1, 0, num_shared).zero_();  // nobody asks a router for shared experts
    return importance;                            // [tokens, experts]
  };
  const auto inputs = [&](int64_t pass) {
    return pass % tokens.num_passes() == 0 ? first_x : tokens.Pass(pass).to(options.device);
  };
  at::Tensor first_target;  // found when it is first asked for: not every router learns one
  double largest = 0;
  const auto batch = [&](int64_t pass) {
    if (!first_target.defined()) {
      first_target = wanted(first_x);
      largest = first_target.max().item<double>();
      if (largest > 0) first_target.div_(largest);
    }
    if (pass % tokens.num_passes() == 0) return RouterBatch{first_x, first_target};
    const at::Tensor x = inputs(pass);
    at::Tensor scaled = wanted(x);
    if (largest > 0) scaled.div_(largest).clamp_max_(1);
    return RouterBatch{x, scaled};
  };
  const Stopwatch fit_stopwatch;
  Fitted fitted = FitRouter({ffn, num_experts, tokens.num_passes(), batch, inputs, held_out.x,
                             wanted(held_out.x), rule, options});
  TrainedRouter result;
  RouterReport& report = result.report;
  report.fit_seconds = fit_stopwatch.Seconds();
  report.best_epoch = fitted.best_epoch;
  result.router = std::move(fitted.router);
  result.neuron_thresholds = held_out.Thresholds(*result.router);
  planner.thresholds = result.neuron_thresholds;
  FittedSubstitute found = FitSubstitute(*result.router, ffn, held_out.sample,
                                         SpreadEvenly(first_x, kSumTokens), options, planner);
  result.substitute = std::move(found.substitute);
  planner.neuron_share = found.neuron_share;

  SimilarityRouter similarity(ExpertCenters(ffn, num_experts));
  RandomRouter random(num_experts, options.seed);
  OracleRouter oracle(ffn, num_experts, GetTarget("mass"));
  OracleRouter oracle_output(ffn, num_experts, GetTarget("output-norm"));
  report.routed = held_out.Measure(*result.router, ratio);
  report.similarity = held_out.Measure(similarity, ratio);
  report.random = held_out.Measure(random, ratio);
  report.oracle = held_out.Measure(oracle, ratio);
  report.oracle_output = held_out.Measure(oracle_output, ratio);
  report.neuron_oracle_error = held_out.sample.NeuronOracleError(ratio);
  const auto mask_at = [&](double at_ratio, const at::Tensor& scores) {
    return MaskFor(planner.ForRatio(at_ratio), scores);
  };
  const at::Tensor sample_scores = result.router->Scores(held_out.sample_x);
  const auto final_error = [&](double at_ratio) {
    return held_out.sample.Error(mask_at(at_ratio, sample_scores), result.substitute);
  };
  report.final_error = final_error(ratio);
  result.errors = at::empty({static_cast<int64_t>(kCurveRatios.size())}, at::kFloat);
  for (size_t i = 0; i < kCurveRatios.size(); ++i) {
    result.errors[static_cast<int64_t>(i)] = final_error(kCurveRatios[i]);
  }

  const at::Tensor scores = result.router->Scores(held_out.x);
  result.thresholds = ThresholdTable(scores, num_shared);
  result.shares_of_best = ThresholdTable(SharesOfBest(scores, num_shared));
  ReportLoad(mask_at(ratio, scores).experts.to(at::kFloat).mean(0), num_shared, report);
  report.neuron_share = planner.neuron_share;
  report.compensated = result.substitute.compensation.defined();
  report.output_fit = result.substitute.w_out.defined();
  report.corrected = result.substitute.correction.defined();
  report.ffn = dumped.name;
  report.dump_tokens = dumped.tokens;
  report.train_tokens = tokens.num_train();
  report.held_out_tokens = held_out.x.size(0);
  report.seconds = stopwatch.Seconds();
  return result;
}

}  // namespace moefy::route
