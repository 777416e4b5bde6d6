#include "route/ffn_plan.h"

#include <algorithm>

#include "moefy/base/error.h"
#include "route/threshold.h"
#include "route/top_k.h"

namespace moefy::route {

FfnPlan FfnPlanner::ForRatio(double ffn_ratio, int64_t more) const {
  return ForExperts(NumSelected(ffn_ratio, num_experts, num_shared) + more);
}

FfnPlan FfnPlanner::ForExperts(int64_t whole_experts) const {
  return PlanFor(PortionFor(static_cast<double>(whole_experts), neuron_share, num_experts,
                            num_matrices, /*whole_experts=*/true));
}

FfnPlan FfnPlanner::ForThreshold(double ffn_ratio, const at::Tensor& score_table) const {
  NumSelected(ffn_ratio, 1);  // checks the ratio
  const auto all = static_cast<double>(num_experts);
  const FfnPortion portion =
      PortionFor(ffn_ratio * all, neuron_share, num_experts, num_matrices, /*whole_experts=*/false);
  FfnPlan plan = PlanFor(portion);
  plan.rule.num_selected = num_experts - num_shared;  // the threshold decides
  plan.rule.threshold =
      ThresholdFor(score_table, portion.num_experts / all, static_cast<double>(num_shared) / all);
  return plan;
}

FfnPlan FfnPlanner::ForRelative(double expert_ratio, double of_best) const {
  MOEFY_CHECK(neuron_share == 1);
  FfnPlan plan;
  plan.rule.num_shared = num_shared;
  plan.rule.num_selected = num_experts - num_shared;  // the share of the best decides
  plan.rule.of_best = static_cast<float>(of_best);
  plan.expert_ratio = expert_ratio;
  return plan;
}

FfnPlan FfnPlanner::PlanFor(const FfnPortion& portion) const {
  const auto all = static_cast<double>(num_experts);
  FfnPlan plan;
  plan.rule.num_shared = num_shared;
  plan.rule.num_selected = static_cast<int64_t>(portion.num_experts) - num_shared;
  plan.min_magnitude = thresholds.MinMagnitude(portion.num_experts / all, portion.neuron_share);
  plan.expert_ratio = std::max(portion.num_experts, static_cast<double>(num_shared)) / all;
  return plan;
}

}  // namespace moefy::route
