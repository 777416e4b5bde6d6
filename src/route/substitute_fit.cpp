#include "route/substitute_fit.h"

#include <algorithm>
#include <cmath>

#include "moefy/base/progress.h"
#include "route/compensation.h"
#include "route/linear_fit.h"
#include "route/output_fit.h"
#include "route/training_tokens.h"

namespace moefy::route {
namespace {

constexpr double kPenalties[] = {1e-3, 1e-2, 1e-1, 1.0};

bool BothLess(const OutputErrors& a, const OutputErrors& b) {
  return a.all < b.all && a.varying < b.varying;
}

class SubstituteFitter {
 public:
  SubstituteFitter(Router& router, const model::FfnWeights& ffn, const OutputSample& sample,
                   const at::Tensor& x, const std::vector<double>& ratios,
                   const FfnPlanner& planner)
      : router_(router),
        ffn_(ffn),
        sample_(sample),
        x_(x),
        held_scores_(router.Scores(sample.x())),
        ratios_(ratios),
        planner_(planner) {
    WeighRatios();
  }

  // Begins anew with that share, whatever was fitted before.
  void SetNeuronShare(double share) {
    planner_.neuron_share = share;
    kept_ = {};
    errors_ = Errors(kept_, 0);
  }

  const Substitute& kept() const { return kept_; }
  const OutputErrors& errors() const { return errors_; }

  void AddTerms(const Compensation& compensation) {
    ContributionSums sums(ffn_.num_neurons(), planner_.num_experts, x_.device());
    ForEachChunk([&](const at::Tensor&, const at::Tensor& neurons, const ExpertMask& mask,
                     double weight) { sums.Add(neurons, mask.experts, weight); });
    Substitute with = kept_;
    with.compensation = compensation.terms(sums, ffn_);
    KeepIfBetter(with, errors_);
  }

  void FitOutput() {
    OutputFit squares(ffn_, kept_.compensation);
    ForEachChunk([&](const at::Tensor&, const at::Tensor& neurons, const ExpertMask& mask,
                     double weight) { squares.Add(neurons, mask, weight); });
    for (const double strength : kPenalties) {
      Substitute with = kept_;
      with.w_out = squares.Solve(strength);
      KeepIfBetter(with, errors_);
    }
  }

  // Fits a low-rank map from the input to what is missing, over the share of experts that do not
  // run.
  void AddCorrection() {
    const int64_t hidden = ffn_.hidden(), rank = std::max<int64_t>(4, hidden / 16);
    LinearFit sums(hidden, hidden, x_.options());
    ForEachChunk(
        [&](const at::Tensor& x, const at::Tensor& neurons, const ExpertMask& mask, double weight) {
          const at::Tensor dropped =
              mask.experts.logical_not().to(at::kDouble).mean(1, /*keepdim=*/true);  // [tokens, 1]
          const at::Tensor outputs = at::mm(neurons, ffn_.w_out);
          sums.Add(x, MissingOutput(x, neurons, outputs, mask, ffn_.w_out, kept_), dropped, weight);
        });
    const double flops = 4.0 * static_cast<double>(hidden * rank);
    const double expert_flops = 2.0 * static_cast<double>(hidden * ffn_.num_neurons()) *
                                static_cast<double>(planner_.num_matrices) /
                                static_cast<double>(planner_.num_experts);
    const OutputErrors with_more = Errors(kept_, std::llround(std::ceil(flops / expert_flops)));
    for (const double strength : kPenalties) {
      const auto [down, up, b] = sums.SolveLowRank(strength, rank);
      Substitute with = kept_;
      with.correction = {down, up, b};
      KeepIfBetter(with, {std::min(errors_.all, with_more.all),
                          std::min(errors_.varying, with_more.varying)});
    }
  }

 private:
  // The mask of what the FFN runs at the ratio, with the work of `more` experts besides.
  ExpertMask MaskAt(double ratio, const at::Tensor& scores, int64_t more = 0) const {
    return MaskFor(planner_.ForRatio(ratio, more), scores);
  }

  // Weighs each ratio by one over its error, 1 on the mean. A ratio that loses nothing weighs as
  // much as the one that loses least.
  void WeighRatios() {
    std::vector<double> errors;
    for (const double ratio : ratios_) {
      errors.push_back(sample_.Error(MaskAt(ratio, held_scores_)));
    }
    double least = 1;
    for (const double error : errors) least = error > 0 ? std::min(least, error) : least;
    double total = 0;
    for (const double error : errors) {
      weights_.push_back(1 / std::max(error, least));
      total += weights_.back() / static_cast<double>(errors.size());
    }
    for (double& weight : weights_) weight /= total;
  }

  // The mean errors over the ratios, with the work of `more` experts besides what these give.
  OutputErrors Errors(const Substitute& substitute, int64_t more) const {
    OutputErrors errors;
    for (size_t i = 0; i < ratios_.size(); ++i) {
      const ExpertMask mask = MaskAt(ratios_[i], held_scores_, more);
      const double weight = weights_[i] / static_cast<double>(ratios_.size());
      const OutputErrors at_ratio = sample_.Errors(mask, substitute);
      errors.all += weight * at_ratio.all;
      errors.varying += weight * at_ratio.varying;
    }
    return errors;
  }

  void KeepIfBetter(const Substitute& candidate, const OutputErrors& than) {
    const OutputErrors errors = Errors(candidate, 0);
    if (!BothLess(errors, than)) return;
    kept_ = candidate;
    errors_ = errors;
  }

  // Calls use(x, neurons, mask, weight) for every part of the tokens at every ratio.
  template <class Use>
  void ForEachChunk(const Use& use) {
    for (const at::Tensor& part : x_.split(kChunkTokens)) {
      ThrowIfInterrupted();
      const at::Tensor neurons = model::NeuronActivations(ffn_, part);
      const at::Tensor scores = router_.Scores(part);
      for (size_t i = 0; i < ratios_.size(); ++i) {
        use(part, neurons, MaskAt(ratios_[i], scores), weights_[i]);
      }
    }
  }

  Router& router_;
  const model::FfnWeights& ffn_;
  const OutputSample& sample_;
  at::Tensor x_, held_scores_;
  std::vector<double> ratios_, weights_;
  FfnPlanner planner_;
  Substitute kept_;
  OutputErrors errors_;
};

}  // namespace

FittedSubstitute FitSubstitute(Router& router, const model::FfnWeights& ffn,
                               const OutputSample& sample, const at::Tensor& x,
                               const RouterTrainOptions& options, const FfnPlanner& planner) {
  const Compensation& compensation = GetCompensation(options.compensation);
  SubstituteFitter fitter(router, ffn, sample, x, options.fit_ratios, planner);
  FittedSubstitute best;
  OutputErrors least;
  for (size_t i = 0; i < options.neuron_shares.size(); ++i) {
    fitter.SetNeuronShare(options.neuron_shares[i]);
    if (compensation.name != "none") fitter.AddTerms(compensation);
    if (options.output_fit) fitter.FitOutput();
    if (compensation.corrected) fitter.AddCorrection();
    if (i > 0 && !BothLess(fitter.errors(), least)) continue;
    best = {fitter.kept(), options.neuron_shares[i]};
    least = fitter.errors();
  }
  return best;
}

}  // namespace moefy::route
