#include "route/neuron_share.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "route/budget.h"

namespace moefy::route {
namespace {

double Work(const FfnPortion& portion, int64_t num_matrices) {
  const auto matrices = static_cast<double>(num_matrices);
  return portion.num_experts * (matrices - 1 + portion.neuron_share) / matrices;
}

TEST(PortionFor, AlwaysHasTheWorkThatItWasGiven) {
  for (const int64_t matrices : {2, 3}) {
    for (const double share : {1.0, 0.7, 0.5, 0.01}) {
      for (const int64_t experts : {1, 8, 43, 128}) {
        FfnPortion last;
        for (int64_t work = 1; work <= experts; ++work) {
          for (const bool whole : {true, false}) {
            const auto given = static_cast<double>(work);
            const FfnPortion portion = PortionFor(given, share, experts, matrices, whole);
            EXPECT_NEAR(Work(portion, matrices), given, 1e-6);
            EXPECT_GE(portion.num_experts, given);
            EXPECT_LE(portion.num_experts, static_cast<double>(experts));
            EXPECT_GE(portion.neuron_share, share);
            EXPECT_LE(portion.neuron_share, 1);
            if (!whole) continue;
            EXPECT_EQ(portion.num_experts, std::floor(portion.num_experts));
            EXPECT_GE(portion.num_experts, last.num_experts) << "more work, fewer experts";
            last = portion;
          }
        }
        EXPECT_EQ(last.num_experts, static_cast<double>(experts)) << "all the work: everything";
        EXPECT_EQ(last.neuron_share, 1);
      }
    }
  }
}

TEST(PortionFor, IsWholeExpertsForAShareOfOne) {
  for (const double work : {1.0, 3.0, 7.0}) {
    const FfnPortion portion = PortionFor(work, 1, 8, 3, true);
    EXPECT_EQ(portion.num_experts, work);
    EXPECT_EQ(portion.neuron_share, 1);
  }
  EXPECT_EQ(PortionFor(2.4, 1, 8, 2, false).num_experts, 2.4);
}

TEST(PortionFor, TakesALargerShareWhereAllExpertsRun) {
  const FfnPortion gated = PortionFor(40, 0.1, 43, 3, true);
  EXPECT_EQ(gated.num_experts, 43);
  EXPECT_NEAR(gated.neuron_share, 3 * 40.0 / 43 - 2, 1e-9);
  const FfnPortion plain = PortionFor(24, 0.25, 32, 2, true);
  EXPECT_EQ(plain.num_experts, 32);
  EXPECT_NEAR(plain.neuron_share, 0.5, 1e-9);
}

TEST(NeuronThresholds, AreThoseOfTheExpertsThatRun) {
  NeuronThresholds thresholds;
  // Where a share r of the experts runs, contributions are spread evenly from 0 to 1 / r.
  std::vector<at::Tensor> tables;
  for (const double ratio : kCurveRatios) {
    tables.push_back(at::linspace(1 / ratio, 0, 101, at::kFloat));
  }
  thresholds.tables = at::stack(tables);
  thresholds.norms = at::tensor({1.0f, 2.0f, 0.5f});
  const auto least = [&](double ratio, double share) {
    return thresholds.MinMagnitude(ratio, share)[0].item<float>();
  };
  EXPECT_NEAR(least(0.5, 0.75), 0.5, 1e-6);
  EXPECT_NEAR(least(1.0, 0.25), 0.75, 1e-6);
  EXPECT_NEAR(least(0.45, 0.75), 0.25 * (1 / 0.4 + 1 / 0.5) / 2, 1e-6);
  EXPECT_NEAR(least(0.01, 0.75), 0.25 / 0.05, 1e-6) << "fewer than were measured";
  const at::Tensor magnitudes = thresholds.MinMagnitude(0.5, 0.75);
  EXPECT_TRUE(magnitudes.allclose(at::tensor({0.5f, 0.25f, 1.0f})));
  EXPECT_FALSE(thresholds.MinMagnitude(0.5, 1).defined());
}

}  // namespace
}  // namespace moefy::route
