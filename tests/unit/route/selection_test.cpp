#include "route/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/expect_error.h"

namespace moefy::route {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

std::vector<int64_t> Row(const at::Tensor& chosen, int64_t token) {
  const int64_t* row = chosen.data_ptr<int64_t>() + token * chosen.size(1);
  return {row, row + chosen.size(1)};
}

TEST(NumSelected, RoundsAndKeepsAtLeastOne) {
  EXPECT_EQ(NumSelected(0.2, 128), 26);
  EXPECT_EQ(NumSelected(1.0, 128), 128);
  EXPECT_EQ(NumSelected(1e-9, 128), 1);
  EXPECT_EQ(NumSelected(0.5, 1), 1);
}

TEST(NumSelected, RefusesWhatIsNoShare) {
  for (const double ratio : {0.0, -0.1, 1.001, std::numeric_limits<double>::quiet_NaN()}) {
    tests::ExpectError(ErrorKind::kUsage, {"expected a share above 0 and at most 1"},
                       [&] { NumSelected(ratio, 8); });
  }
}

TEST(NumSelected, CountsTheSharedExperts) {
  EXPECT_EQ(NumSelected(0.2, 20, 3), 4);
  EXPECT_EQ(NumSelected(0.1, 20, 3), 3);
  EXPECT_EQ(NumSelected(1.0, 20, 3), 20);
}

TEST(SelectTopK, TakesTheHighestOfEachToken) {
  const at::Tensor scores =
      at::tensor({0.1f, -5.0f, 3.0f, 2.0f, -1.0f, -2.0f, -3.0f, -0.5f}).view({2, 4});
  const at::Tensor chosen = SelectTopK(scores, 2);
  EXPECT_THAT(chosen.sizes(), ElementsAre(2, 2));
  EXPECT_THAT(Row(chosen, 0), UnorderedElementsAre(2, 3));
  EXPECT_THAT(Row(chosen, 1), UnorderedElementsAre(3, 0));
}

TEST(SelectTopK, TiesGoToTheLowerIndex) {
  EXPECT_THAT(Row(SelectTopK(at::zeros({1, 7}), 3), 0), UnorderedElementsAre(0, 1, 2));
  const at::Tensor scores = at::tensor({1.0f, -0.0f, 0.0f, 1.0f, 0.0f}).view({1, 5});
  EXPECT_THAT(Row(SelectTopK(scores, 3), 0), UnorderedElementsAre(0, 3, 1));
}

TEST(SelectTopK, AgreesWithSortingForAnyShape) {
  at::manual_seed(1);
  for (const int64_t experts : {1, 2, 33, 128}) {
    const at::Tensor scores = at::randn({50, experts});
    const at::Tensor sorted = std::get<1>(scores.sort(1, /*descending=*/true));
    for (const int64_t k : {int64_t{1}, (experts + 1) / 2, experts}) {
      const at::Tensor chosen = std::get<0>(SelectTopK(scores, k).sort(1));
      EXPECT_TRUE(chosen.equal(std::get<0>(sorted.narrow(1, 0, k).contiguous().sort(1))));
    }
  }
}

TEST(SelectTopK, CopesWithInfinitiesNaNsAndNoTokens) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const at::Tensor scores =
      at::tensor({-kInf, 0.0f, kInf, std::numeric_limits<float>::quiet_NaN()}).view({1, 4});
  for (const int64_t k : {1, 2, 3, 4}) {
    std::vector<int64_t> row = Row(SelectTopK(scores, k), 0);
    std::ranges::sort(row);
    EXPECT_EQ(std::ranges::unique(row).begin(), row.end()) << "an expert twice";
  }
  EXPECT_EQ(SelectTopK(at::zeros({0, 4}), 2).size(0), 0);
}

TEST(SelectTopK, SharedExpertsRunWhateverTheyScore) {
  at::manual_seed(2);
  at::Tensor scores = at::randn({30, 9});
  scores.select(1, 0).fill_(-100);
  scores.select(1, 1).fill_(std::numeric_limits<float>::quiet_NaN());
  const at::Tensor others = scores.narrow(1, 2, 7).contiguous();
  for (const int64_t k : {2, 3, 5, 9}) {
    const at::Tensor chosen = SelectTopK(scores, k, 2);
    ASSERT_THAT(chosen.sizes(), ElementsAre(30, k));
    EXPECT_TRUE(chosen.select(1, 0).eq(0).all().item<bool>());
    EXPECT_TRUE(chosen.select(1, 1).eq(1).all().item<bool>());
    const at::Tensor mask = TopKMask(scores, k, 2);
    EXPECT_TRUE(mask.sum(1).eq(k).all().item<bool>());
    if (k == 2) continue;
    const at::Tensor routed = std::get<0>(chosen.narrow(1, 2, k - 2).sort(1));
    EXPECT_TRUE(routed.equal(std::get<0>(SelectTopK(others, k - 2).sort(1)) + 2));
    EXPECT_TRUE(mask.narrow(1, 2, 7).equal(TopKMask(others, k - 2)));
  }
}

TEST(ParseSelection, TakesARouterAndAPolicy) {
  EXPECT_EQ(ParseSelection("oracle-output").router, "oracle-output");
  EXPECT_EQ(ParseSelection("oracle-output").policy, "top-k");
  EXPECT_EQ(ParseSelection("mlp:threshold").router, "mlp");
  EXPECT_EQ(ParseSelection("mlp:threshold").policy, "threshold");
  EXPECT_FALSE(ParseSelection("mlp:threshold").neuron_share.has_value());
  const Selection thinned = ParseSelection("mlp:budget/0.25");
  EXPECT_EQ(thinned.router + " " + thinned.policy, "mlp budget");
  EXPECT_EQ(thinned.neuron_share, 0.25);
  EXPECT_EQ(ParseSelection("ridge/0.5").policy, "top-k");
  for (const char* wrong : {"mlp/", "mlp/0", "mlp/1.5", "mlp/half", "mlp/0.5x", "mlp/nan"}) {
    tests::ExpectError(ErrorKind::kUsage, {wrong, "expected one above 0 and at most 1"},
                       [&] { ParseSelection(wrong); });
  }
  tests::ExpectError(ErrorKind::kUsage, {"unknown selection 'orakle'", "did you mean 'oracle'"},
                     [] { ParseSelection("orakle"); });
  tests::ExpectError(ErrorKind::kUsage,
                     {"unknown selection policy 'treshold'", "did you mean 'threshold'"},
                     [] { ParseSelection("mlp:treshold"); });
}

TEST(TopKMask, MarksWhatSelectTopKTakes) {
  at::manual_seed(4);
  const at::Tensor scores = at::randn({20, 9});
  for (const int64_t k : {1, 4, 9}) {
    const at::Tensor mask = TopKMask(scores, k);
    EXPECT_TRUE(mask.sum(1).eq(k).all().item<bool>());
    EXPECT_TRUE(mask.gather(1, SelectTopK(scores, k)).all().item<bool>());
  }
}

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
