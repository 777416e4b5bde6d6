#include "route/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace moefy::route {
namespace {

using ::testing::ElementsAre;

std::vector<double> Curve(double power) {
  std::vector<double> errors;
  for (const double ratio : kCurveRatios) errors.push_back(std::pow(1 - ratio, power));
  return errors;
}

TEST(SpendBudget, KeepsToTheBudgetAndSpendsItWhereItHelps) {
  const std::vector<BudgetedFfn> ffns = {
      {32, 10, Curve(1)}, {32, 10, Curve(8)}, {16, 40, Curve(3)}};
  for (const double ratio : {0.01, 0.1, 0.2, 0.5, 0.8, 1.0}) {
    const std::vector<int64_t> counts = SpendBudget(ffns, ratio);
    double cost = 0, all = 0, least = 0;
    for (size_t i = 0; i < ffns.size(); ++i) {
      EXPECT_GE(counts[i], 1);
      EXPECT_LE(counts[i], ffns[i].num_experts);
      cost += ffns[i].expert_cost * static_cast<double>(counts[i]);
      least += ffns[i].expert_cost;
      all += ffns[i].expert_cost * static_cast<double>(ffns[i].num_experts);
    }
    EXPECT_LE(cost, std::max(least, ratio * all * (1 + 1e-6)));
    EXPECT_GE(cost, ratio * all - 40) << "no expert more would have fitted";
  }
  EXPECT_THAT(SpendBudget(ffns, 1.0), ElementsAre(32, 32, 16));
  const std::vector<int64_t> counts = SpendBudget({ffns[0], ffns[1]}, 0.2);
  EXPECT_GT(counts[1], counts[0]) << "the first experts of FFN 1 take more error away";
}

TEST(SpendBudget, BeatsTheSameRatioEverywhere) {
  const std::vector<BudgetedFfn> ffns = {{20, 1, Curve(1)}, {20, 1, Curve(6)}};
  const auto error = [&](size_t i, int64_t count) {
    const double ratio = static_cast<double>(count) / 20;
    for (size_t j = 0; j < kCurveRatios.size(); ++j) {
      if (std::abs(kCurveRatios[j] - ratio) < 1e-9) return ffns[i].errors[j];
    }
    return 2.0;  // between the points the curve is not known; not reached by this budget
  };
  const std::vector<int64_t> counts = SpendBudget(ffns, 0.2);
  EXPECT_LT(error(0, counts[0]) + error(1, counts[1]), error(0, 4) + error(1, 4) + 1e-9);
}

TEST(SpendBudget, SharedExpertsArePaidFirst) {
  // Of FFN 1 the first 8 of 32 are shared: its curve is flat up to there, then falls faster than
  // that of FFN 0 until half of its experts run.
  std::vector<double> slow, shared;
  for (const double ratio : kCurveRatios) {
    slow.push_back(std::max(0.0, 1 - 1.5 * ratio));
    shared.push_back(std::max(0.0, 0.5 - 2 * std::max(0.0, ratio - 0.25)));
  }
  const std::vector<BudgetedFfn> ffns = {{32, 10, slow}, {32, 10, shared, 8}};
  for (const double ratio : {0.01, 0.1, 0.2, 0.5, 0.8, 1.0}) {
    const std::vector<int64_t> counts = SpendBudget(ffns, ratio);
    EXPECT_GE(counts[0], 1);
    EXPECT_GE(counts[1], 8);
    EXPECT_EQ(counts[0] + counts[1], std::max<int64_t>(9, static_cast<int64_t>(ratio * 64 + 1e-9)));
  }
  EXPECT_THAT(SpendBudget(ffns, 17.0 / 64), ElementsAre(1, 16));
  EXPECT_THAT(SpendBudget(ffns, 24.0 / 64), ElementsAre(8, 16));
}

}  // namespace
}  // namespace moefy::route
