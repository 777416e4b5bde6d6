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

}  // namespace
}  // namespace moefy::route
