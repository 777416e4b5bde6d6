#include "route/stand_fit.h"

#include <algorithm>
#include <cmath>

#include "moefy/base/progress.h"
#include "moefy/route/compensation.h"
#include "moefy/route/least_squares.h"
#include "moefy/route/selection.h"
#include "route/linear_fit.h"

namespace moefy::route {
namespace {

constexpr double kStrengths[] = {1e-3, 1e-2, 1e-1, 1.0};

class StandFitter {
 public:
  StandFitter(Router& router, const model::FfnWeights& ffn, int64_t num_experts,
              const OutputSample& sample, const at::Tensor& x, const TrainOptions& options,
              int64_t num_shared)
      : router_(router),
        ffn_(ffn),
        num_experts_(num_experts),
        num_shared_(num_shared),
        sample_(sample),
        x_(x) {
    for (const double ratio : options.fit_ratios) {
      counts_.push_back(NumSelected(ratio, num_experts, num_shared));
    }
    held_scores_ = router.Scores(sample.x());
    WeighRatios();
    errors_ = Errors(kept_, 0);
  }

  const Stand& kept() const { return kept_; }

  void AddTerms(const Compensation& compensation) {
    ContributionSums sums(ffn_.num_neurons(), num_experts_, x_.device());
    ForEachChunk([&](const at::Tensor&, const at::Tensor& neurons, const at::Tensor& runs,
                     double weight) { sums.Add(neurons, runs, weight); });
    Stand with = kept_;
    with.compensation = compensation.terms(sums, ffn_);
    KeepIfBetter(with, errors_);
  }

  void FitOutput() {
    OutputLeastSquares squares(ffn_, kept_.compensation);
    ForEachChunk([&](const at::Tensor&, const at::Tensor& neurons, const at::Tensor& runs,
                     double weight) { squares.Add(neurons, runs, weight); });
    for (const double strength : kStrengths) {
      Stand with = kept_;
      with.w_out = squares.Solve(strength);
      KeepIfBetter(with, errors_);
    }
  }

  // A low-rank map from the input to what is missing, over the share of experts that do not run.
  void AddCorrection() {
    const int64_t hidden = ffn_.hidden(), rank = std::max<int64_t>(4, hidden / 16);
    LinearFit sums(hidden, hidden, x_.options());
    ForEachChunk(
        [&](const at::Tensor& x, const at::Tensor& neurons, const at::Tensor& runs, double weight) {
          const at::Tensor dropped =
              runs.logical_not().to(at::kDouble).mean(1, /*keepdim=*/true);  // [tokens, 1]
          sums.Add(x, MissingOutput(x, neurons, runs, ffn_.w_out, kept_), dropped, weight);
        });
    const double flops = 4.0 * static_cast<double>(hidden * rank);
    const double expert_flops = 2.0 * static_cast<double>(hidden * ffn_.num_neurons()) *
                                (ffn_.w_gate.defined() ? 3 : 2) / static_cast<double>(num_experts_);
    const MeanErrors with_more = Errors(kept_, std::llround(std::ceil(flops / expert_flops)));
    for (const double strength : kStrengths) {
      const auto [down, up, b] = sums.SolveLowRank(strength, rank);
      Stand with = kept_;
      with.correction = {down, up, b};
      KeepIfBetter(with, {std::min(errors_.all, with_more.all),
                          std::min(errors_.varying, with_more.varying)});
    }
  }

 private:
  struct MeanErrors {
    double all = 0, varying = 0;
  };

  // One over the error at that ratio, 1 on the mean. Where nothing is lost: as at the ratio that
  // loses least.
  void WeighRatios() {
    std::vector<double> errors;
    for (const int64_t k : counts_) {
      errors.push_back(sample_.Error(TopKMask(held_scores_, k, num_shared_)));
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

  // Means over the ratios, with `more` experts than they give.
  MeanErrors Errors(const Stand& stand, int64_t more) const {
    MeanErrors errors;
    for (size_t i = 0; i < counts_.size(); ++i) {
      const at::Tensor runs =
          TopKMask(held_scores_, std::min(num_experts_, counts_[i] + more), num_shared_);
      const double weight = weights_[i] / static_cast<double>(counts_.size());
      errors.all += weight * sample_.Error(runs, stand);
      errors.varying += weight * sample_.VaryingError(runs, stand);
    }
    return errors;
  }

  void KeepIfBetter(const Stand& candidate, const MeanErrors& than) {
    const MeanErrors errors = Errors(candidate, 0);
    if (!(errors.all < than.all && errors.varying < than.varying)) return;
    kept_ = candidate;
    errors_ = errors;
  }

  // use(x, neurons, runs, weight), for every ratio.
  template <class Use>
  void ForEachChunk(const Use& use) {
    constexpr int64_t kChunk = 1024;
    for (const at::Tensor& part : x_.split(kChunk)) {
      ThrowIfInterrupted();
      const at::Tensor neurons = model::NeuronActivations(ffn_, part);
      const at::Tensor scores = router_.Scores(part);
      for (size_t i = 0; i < counts_.size(); ++i) {
        use(part, neurons, TopKMask(scores, counts_[i], num_shared_), weights_[i]);
      }
    }
  }

  Router& router_;
  const model::FfnWeights& ffn_;
  int64_t num_experts_, num_shared_;
  const OutputSample& sample_;
  at::Tensor x_, held_scores_;
  std::vector<int64_t> counts_;  // of experts, per ratio
  std::vector<double> weights_;  // of the ratios
  Stand kept_;
  MeanErrors errors_;
};

}  // namespace

Stand FitStand(Router& router, const model::FfnWeights& ffn, int64_t num_experts,
               const OutputSample& sample, const at::Tensor& x, const TrainOptions& options,
               int64_t num_shared) {
  const Compensation& compensation = GetCompensation(options.compensation);
  StandFitter fitter(router, ffn, num_experts, sample, x, options, num_shared);
  if (compensation.name != "none") fitter.AddTerms(compensation);
  if (options.least_squares) fitter.FitOutput();
  if (compensation.corrected) fitter.AddCorrection();
  return fitter.kept();
}

}  // namespace moefy::route
