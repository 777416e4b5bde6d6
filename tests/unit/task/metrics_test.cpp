#include "task/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace moefy::task {
namespace {

TEST(Metrics, MeanAndStandardError) {
  const Estimate estimate = MeanEstimate({1, 2, 3, 4});
  EXPECT_DOUBLE_EQ(estimate.value, 2.5);
  EXPECT_NEAR(*estimate.standard_error, std::sqrt(5.0 / 3 / 4), 1e-12);
  EXPECT_EQ(estimate.count, 4);
  EXPECT_EQ(MeanEstimate({7}).standard_error, std::nullopt);  // nothing to vary
  EXPECT_EQ(MeanEstimate({7, 7}).standard_error, 0);
  EXPECT_EQ(MeanEstimate({7}).value, 7);
  EXPECT_EQ(MeanEstimate({}).count, 0);
}

TEST(Metrics, Accuracy) {
  const Estimate accuracy = Accuracy({0, 1, 1, 0}, {0, 1, 0, 0});
  EXPECT_DOUBLE_EQ(accuracy.value, 0.75);
  EXPECT_NEAR(*accuracy.standard_error, std::sqrt(0.75 * 0.25 / 3), 1e-12);
  EXPECT_EQ(Accuracy({1, 1}, {1, 1}).standard_error, 0);
}

TEST(Metrics, KlDivergence) {
  EXPECT_EQ(KlDivergence({1, 2, 3}, {1, 2, 3}), 0);
  EXPECT_NEAR(KlDivergence({1, 2, 3}, {1001, 1002, 1003}), 0, 1e-9);  // only differences count
  // p = (3/4, 1/4), q = (1/2, 1/2)
  const double wanted = 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
  EXPECT_NEAR(KlDivergence({std::log(3.0f), 0}, {0, 0}), wanted, 1e-7);
  const float none = -std::numeric_limits<float>::infinity();
  EXPECT_NEAR(KlDivergence({0, none}, {0, 0}), std::log(2.0), 1e-12);
  EXPECT_EQ(KlDivergence({0, 0}, {0, none}), std::numeric_limits<double>::infinity());
}

TEST(Metrics, ArgMaxTakesTheFirstOfEquals) {
  EXPECT_EQ(ArgMax({1, 3, 3, 2}), 1);
  EXPECT_EQ(ArgMax({-1}), 0);
}

TEST(Figures, ARatioOfAllTogether) {
  const Estimate rate = ToEstimate(RatioFigure({{1, 4}, {0, 6}}));
  EXPECT_DOUBLE_EQ(rate.value, 0.1);
  // Residuals 0.6 and -0.6: sqrt((0.36 + 0.36) / 1 * 2) / 10.
  EXPECT_DOUBLE_EQ(*rate.standard_error, std::sqrt(1.44) / 10);
  EXPECT_EQ(rate.count, 2);
  EXPECT_EQ(RatioFigure({}).value, 0);
  EXPECT_EQ(RatioFigure({{2, 0}}).value, 0);
  EXPECT_EQ(ToEstimate(RatioFigure({{1, 2}, {2, 4}})).standard_error, 0);
}

TEST(Figures, TheMeanIsARatioByOne) {
  const Estimate mean = ToEstimate(RatioFigure({{1}, {0}, {1}, {1}}));
  const Estimate same = MeanEstimate({1, 0, 1, 1});
  EXPECT_DOUBLE_EQ(mean.value, 0.75);
  EXPECT_DOUBLE_EQ(*mean.standard_error, *same.standard_error);
}

TEST(Figures, PerplexityIsAnExponential) {
  const Estimate perplexity = ToEstimate(Exponential(RatioFigure({{1.0}, {3.0}})));
  EXPECT_DOUBLE_EQ(perplexity.value, std::exp(2.0));
  EXPECT_DOUBLE_EQ(*perplexity.standard_error, std::exp(2.0) * 1.0);
  EXPECT_EQ(perplexity.count, 2);
}

TEST(Figures, DifferencesArePairedByUnit) {
  // One of three changed: differences 0, -1, 0.
  const Estimate difference =
      Difference(RatioFigure({{1}, {0}, {1}}), RatioFigure({{1}, {1}, {1}}));
  EXPECT_DOUBLE_EQ(difference.value, -1.0 / 3);
  EXPECT_DOUBLE_EQ(*difference.standard_error, *MeanEstimate({0, -1, 0}).standard_error);
  // Both alike: no error at all, however much the units vary.
  const Figure figure = Exponential(RatioFigure({{1}, {5}}));
  EXPECT_EQ(Difference(figure, figure).standard_error, 0);
}

}  // namespace
}  // namespace moefy::task
