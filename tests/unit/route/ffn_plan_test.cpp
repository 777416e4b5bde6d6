#include "route/ffn_plan.h"

#include <gtest/gtest.h>

#include <vector>

#include "route/budget.h"
#include "route/expert_mask.h"
#include "route/threshold.h"

namespace moefy::route {
namespace {

// Contributions spread evenly from 0 to 1, whatever runs.
NeuronThresholds EvenThresholds(int64_t neurons) {
  const at::Tensor table = at::linspace(1, 0, 101, at::kFloat);
  const std::vector<at::Tensor> tables(kCurveRatios.size(), table);
  return {at::stack(tables), at::ones({neurons})};
}

TEST(FfnPlanner, WholeExpertsRunAsManyAsTheirWork) {
  const FfnPlanner planner{16, 3, 2};
  for (int64_t whole = 3; whole <= 16; ++whole) {
    const FfnPlan plan = planner.ForExperts(whole);
    EXPECT_EQ(plan.rule.num_shared, 3);
    EXPECT_EQ(plan.rule.num_chosen(), whole);
    EXPECT_FALSE(plan.min_magnitude.defined());
    EXPECT_EQ(plan.expert_ratio, static_cast<double>(whole) / 16);
  }
  EXPECT_EQ(planner.ForExperts(20).rule.num_chosen(), 16) << "there are no more";
}

TEST(FfnPlanner, AShareOfTheNeuronsPaysForMoreExperts) {
  const FfnPlanner planner{16, 0, 2, 0.5, EvenThresholds(32)};
  const FfnPlan plan = planner.ForExperts(6);  // of a cost of 3 / 4 each
  EXPECT_EQ(plan.rule.num_selected, 8);
  ASSERT_TRUE(plan.min_magnitude.defined());
  EXPECT_NEAR(plan.min_magnitude[0].item<double>(), 0.5, 1e-5);
  EXPECT_FALSE(planner.ForExperts(16).min_magnitude.defined()) << "all of the work: everything";
}

TEST(FfnPlanner, AThresholdRunsThatShareOnTheMean) {
  at::manual_seed(3);
  const at::Tensor scores = at::randn({500, 16});
  const at::Tensor table = ThresholdTable(scores, 4);
  const FfnPlanner planner{16, 4, 2};
  const FfnPlan plan = planner.ForThreshold(0.5, table);
  EXPECT_EQ(plan.rule.num_selected, 12) << "at most";
  EXPECT_EQ(plan.expert_ratio, 0.5);
  const at::Tensor runs = scores.narrow(1, 4, 12) >= plan.rule.threshold;
  EXPECT_NEAR(runs.to(at::kFloat).mean().item<double>() * 12 + 4, 8, 0.2);
  EXPECT_EQ(planner.ForThreshold(0.1, table).expert_ratio, 0.25) << "the shared ones alone";
}

TEST(MaskFor, MarksTheExpertsOfThePlan) {
  const at::Tensor scores = at::tensor({0.1f, 0.9f, 0.2f, 0.8f, 0.3f, 0.0f}).view({1, 6});
  const ExpertMask mask = MaskFor(FfnPlanner{6, 1, 2}.ForExperts(3), scores);
  EXPECT_TRUE(mask.experts.equal(at::tensor({1, 1, 0, 1, 0, 0}).view({1, 6}).to(at::kBool)));
}

}  // namespace
}  // namespace moefy::route
