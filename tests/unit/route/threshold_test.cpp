#include "route/threshold.h"

#include <gtest/gtest.h>

#include <limits>

#include "moefy/base/error.h"

namespace moefy::route {
namespace {

TEST(Threshold, GivesTheMeanRatioAskedFor) {
  at::manual_seed(5);
  const at::Tensor scores = at::randn({400, 16}) * at::rand({400, 1}) * 5;
  const at::Tensor table = ThresholdTable(scores);
  ASSERT_EQ(table.size(0), 101);
  for (const double ratio : {0.05, 0.1, 0.2, 0.25, 0.333, 0.5, 0.9, 0.995}) {
    const double share =
        (scores >= ThresholdFor(table, ratio)).to(at::kDouble).mean().item<double>();
    EXPECT_NEAR(share, ratio, 0.011) << ratio;
  }
  EXPECT_EQ(ThresholdFor(table, 1.0), -std::numeric_limits<float>::infinity());
  EXPECT_THROW(ThresholdFor(table, 0), Error);
}

TEST(Threshold, LeavesOutWhatCannotBeToldApart) {
  at::manual_seed(6);
  const at::Tensor scores = at::randn({400, 16}).relu();  // half of them are 0
  const at::Tensor table = ThresholdTable(scores);
  for (const double ratio : {0.3, 0.6, 0.9}) {
    const double share =
        (scores >= ThresholdFor(table, ratio)).to(at::kDouble).mean().item<double>();
    EXPECT_NEAR(share, std::min(ratio, 0.5), 0.02) << ratio;
  }
  const at::Tensor same = ThresholdTable(at::ones({10, 4}));
  EXPECT_EQ(ThresholdFor(same, 0.5), 1) << "or none would run";
}

TEST(Threshold, CountsTheSharedExperts) {
  at::manual_seed(5);
  at::Tensor scores = at::randn({400, 16});
  scores.narrow(1, 0, 4).fill_(50);  // not looked at
  const at::Tensor table = ThresholdTable(scores, 4);
  EXPECT_TRUE(table.equal(ThresholdTable(scores.narrow(1, 4, 12))));
  for (const double ratio : {0.26, 0.3, 0.5, 0.9}) {
    const at::Tensor reach = scores.narrow(1, 4, 12) >= ThresholdFor(table, ratio, 0.25);
    EXPECT_NEAR((4 + 12 * reach.to(at::kDouble).mean().item<double>()) / 16, ratio, 0.01) << ratio;
  }
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(ThresholdFor(table, 0.25, 0.25), kInf);
  EXPECT_EQ(ThresholdFor(table, 0.1, 0.25), kInf);
  EXPECT_EQ(ThresholdFor(table, 1.0, 0.25), -kInf);
}

TEST(SharesOfBest, AreOfEachTokensOwnBest) {
  const at::Tensor scores =
      at::tensor({9.0f, 4.0f, 1.0f, -2.0f, 9.0f, -3.0f, -1.0f, -2.0f}).view({2, 4});
  const at::Tensor shares = SharesOfBest(scores, 1);
  EXPECT_TRUE(shares[0].equal(at::tensor({1.0f, 0.25f, -0.5f})));
  EXPECT_EQ(shares[1][1].item<float>(), 1) << "the best has all of its own score";
  EXPECT_LT(shares[1].amin().item<float>(), -1e20f);
  EXPECT_TRUE(shares.isfinite().all().item<bool>()) << "so that it can be stored";
}

TEST(ShareReaching, IsTheInverseOfTheThreshold) {
  at::manual_seed(6);
  const at::Tensor table = ThresholdTable(at::randn({500, 8}));
  for (const double ratio : {0.05, 0.137, 0.5, 0.81, 0.99}) {
    EXPECT_NEAR(ShareReaching(table, ThresholdFor(table, ratio)), ratio, 1e-4);
  }
  EXPECT_EQ(ShareReaching(table, 100), 0);
  EXPECT_EQ(ShareReaching(table, -100), 1);
}

TEST(RelativeShare, GivesTheMeanCostAskedFor) {
  at::manual_seed(7);
  // Scores of one FFN are alike, of the other a few stand out; the second costs twice as much.
  const at::Tensor even = at::rand({400, 16}) + 3, uneven = at::randn({400, 16}).exp();
  const auto ffn = [](const at::Tensor& scores, double cost) {
    return RelativeFfn{ThresholdTable(SharesOfBest(scores)), cost, 0};
  };
  const std::vector<RelativeFfn> ffns = {ffn(even, 1), ffn(uneven, 2)};
  const auto runs = [](const at::Tensor& scores, double of_best) {
    const at::Tensor least = scores.amax(1, true) * of_best;
    return (scores >= least).to(at::kDouble).mean().item<double>();
  };
  for (const double ratio : {0.1, 0.3, 0.5, 0.9}) {
    const RelativeShare found = RelativeShareFor(ffns, ratio);
    const double a = runs(even, found.of_best), b = runs(uneven, found.of_best);
    EXPECT_NEAR((a + 2 * b) / 3, ratio, 0.012) << ratio;
    EXPECT_NEAR(found.expert_ratios[0], a, 0.012);
    EXPECT_NEAR(found.expert_ratios[1], b, 0.012);
    EXPECT_GT(a, b) << "where all are alike, more run";
  }
  const RelativeShare all = RelativeShareFor(ffns, 1);
  EXPECT_EQ(all.of_best, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(all.expert_ratios, (std::vector<double>{1, 1}));
  EXPECT_THROW(RelativeShareFor(ffns, 0), Error);
}

TEST(RelativeShare, CountsTheSharedExperts) {
  at::manual_seed(7);
  const RelativeFfn ffn = {ThresholdTable(SharesOfBest(at::rand({400, 12}))), 1, 0.25};
  EXPECT_NEAR(RelativeShareFor({ffn}, 0.5).expert_ratios[0], 0.5, 0.001);
  // The best one runs besides the shared ones, whatever is asked for.
  EXPECT_NEAR(RelativeShareFor({ffn}, 0.1).expert_ratios[0], 0.25 + 0.75 / 12, 0.01);
}

}  // namespace
}  // namespace moefy::route
