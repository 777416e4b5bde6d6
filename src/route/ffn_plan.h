// What one FFN runs for the work it is given: which experts, and which of their neurons. The one
// answer for the trainer's measuring, the fit of substitutes, calibration and the sparse model.
// Values, thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <limits>

#include "route/neuron_share.h"

namespace moefy::route {

// Which experts a token gets.
struct SelectionRule {
  int64_t num_selected = 0;  // the best-scored so many, at most; shared experts not counted
  float threshold = -std::numeric_limits<float>::infinity();  // only those that score so much run
  int64_t num_shared = 0;  // the experts [0, num_shared) run for every token, whatever they score
  // Only those run that score this share of the token's best, which always runs.
  float of_best = -std::numeric_limits<float>::infinity();

  int64_t num_chosen() const { return num_shared + num_selected; }  // at most
  // Whether each token runs num_chosen() experts.
  bool is_top_k() const {
    constexpr float kNone = -std::numeric_limits<float>::infinity();
    return threshold == kNone && of_best == kNone;
  }
};

struct FfnPlan {
  SelectionRule rule;
  at::Tensor min_magnitude =
      {};                   // [neurons] or undefined: neurons that give less count for nothing
  double expert_ratio = 1;  // the share of all experts that runs; with a threshold the mean
};

// Turns work into a plan. Where only a share of the running experts' neurons goes through W_out,
// the work saved pays for more experts (PortionFor).
struct FfnPlanner {
  int64_t num_experts, num_shared, num_matrices;  // matrices: 2, or 3 with a gate
  double neuron_share = 1;           // of the running experts' neurons that go through W_out
  NeuronThresholds thresholds = {};  // needed for a neuron_share below 1

  // All throw Error{kUsage} for a ratio outside (0, 1].
  // The policy top-k: as many experts for every token as that share of the work pays for, with the
  // work of `more` whole experts besides.
  FfnPlan ForRatio(double ffn_ratio, int64_t more = 0) const;
  // Plans the work of so many whole experts, shared ones counted.
  FfnPlan ForExperts(int64_t whole_experts) const;
  // The policy threshold: the experts that score enough, on the mean for that share of the work.
  // score_table: ThresholdTable of the router's scores.
  FfnPlan ForThreshold(double ffn_ratio, const at::Tensor& score_table) const;
  // The policy relative: the experts that score the share `of_best` of the token's best, which the
  // share `expert_ratio` of this FFN's experts does on the mean. Needs a neuron_share of 1.
  FfnPlan ForRelative(double expert_ratio, double of_best) const;

 private:
  FfnPlan PlanFor(const FfnPortion& portion) const;
};

}  // namespace moefy::route
