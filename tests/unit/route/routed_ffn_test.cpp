#include "route/routed_ffn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "support/expect_error.h"
#include "support/route_fixtures.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::route {
namespace {

// A split with shared experts and trained routers.
class SharedExperts : public ::testing::Test {
 protected:
  static constexpr int64_t kExperts = 8, kShared = 2;
  SharedExperts() {
    RouterTrainOptions options;
    options.epochs = 2;
    options.compensation = "mean";
    moe_.emplace(
        tests::SplitAndRoute(tests::Pico("t5-relu-tied"), dir_, kExperts, options, kShared));
  }

  std::vector<RoutedFfn> Read(const char* selection, double ratio) {
    return ReadRoutedFfns(*moe_, ParseSelection(selection), ratio);
  }

  tests::TempDir dir_;
  std::optional<split::MoeCheckpoint> moe_;
};

TEST_F(SharedExperts, AreOfEveryBudget) {
  for (const char* selection : {"mlp", "similarity", "random", "oracle", "oracle-output"}) {
    for (const double ratio : {0.01, 0.25, 0.4, 0.75, 1.0}) {
      for (const RoutedFfn& of_ffn : Read(selection, ratio)) {
        EXPECT_EQ(of_ffn.plan.rule.num_shared, kShared);
        EXPECT_EQ(of_ffn.plan.rule.num_shared + of_ffn.plan.rule.num_selected,
                  std::max<int64_t>(kShared, std::llround(ratio * kExperts)));
      }
    }
  }
  for (const double ratio : {0.01, 0.4, 0.75, 1.0}) {
    int64_t num_run = 0;
    for (const RoutedFfn& of_ffn : Read("mlp:budget", ratio)) {
      EXPECT_EQ(of_ffn.plan.rule.num_shared, kShared);
      EXPECT_GE(of_ffn.plan.rule.num_selected, 0);
      num_run += kShared + of_ffn.plan.rule.num_selected;
    }
    const auto num_ffns = static_cast<int64_t>(moe_->ffns().size());
    EXPECT_LE(num_run,
              std::max<int64_t>(kShared * num_ffns,
                                std::llround(ratio * static_cast<double>(kExperts * num_ffns))));
  }
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Read("mlp:threshold", 0.2)[0].plan.rule.threshold, kInf);
  const SelectionRule rule = Read("mlp:threshold", 0.5)[0].plan.rule;
  EXPECT_LT(rule.threshold, kInf);
  EXPECT_GT(rule.threshold, -kInf);
  EXPECT_EQ(rule.num_shared + rule.num_selected, kExperts);
}

TEST_F(SharedExperts, StoredStandsForTheirKind) {
  EXPECT_EQ(NameStored(*moe_, ParseSelection("stored:budget/0.5")).Text(), "mlp:budget/0.5");
  EXPECT_EQ(NameStored(*moe_, ParseSelection("oracle/0.5")).Text(), "oracle/0.5");
}

TEST_F(SharedExperts, OnlyTheKindThatIsThereIsServed) {
  CheckServes(*moe_, ParseSelection("mlp:threshold/0.5"));
  tests::ExpectError(ErrorKind::kUsage,
                     {"--selection ridge:budget needs ridge routers", "holds mlp ones"},
                     [&] { CheckServes(*moe_, ParseSelection("ridge:budget")); });
  const split::MoeCheckpoint bare = split::MoeCheckpoint::Open(dir_ / "split");
  CheckServes(bare, ParseSelection("oracle"));
  for (const char* selection : {"mlp", "stored", "random:threshold", "similarity/0.5"}) {
    tests::ExpectError(ErrorKind::kUsage, {"has no routers yet", "moefy route-train"},
                       [&] { CheckServes(bare, ParseSelection(selection)); });
  }
}

// Of running experts half of the neurons go through W_out, unless a selection says otherwise.
class StoredShare : public ::testing::TestWithParam<const char*> {
 protected:
  static constexpr int64_t kExperts = 8;
  StoredShare() {
    RouterTrainOptions options;
    options.epochs = 2;
    options.neuron_shares = {0.5};
    moe_.emplace(tests::SplitAndRoute(tests::Pico(GetParam()), dir_, kExperts, options));
    matrices_ = moe_->ffns()[0].spec.gated() ? 3 : 2;
  }

  std::vector<RoutedFfn> Read(const char* selection, double ratio) {
    return ReadRoutedFfns(*moe_, ParseSelection(selection), ratio);
  }

  tests::TempDir dir_;
  std::optional<split::MoeCheckpoint> moe_;
  int64_t matrices_;
};

TEST_P(StoredShare, PaysForMoreExperts) {
  for (int64_t whole = 1; whole <= kExperts; ++whole) {
    const double ratio = static_cast<double>(whole) / kExperts;
    const auto halves = static_cast<int64_t>(
        PortionFor(static_cast<double>(whole), 0.5, kExperts, matrices_, true).num_experts);
    for (const char* selection : {"mlp", "stored", "mlp/0.5"}) {
      const RoutedFfn chosen = Read(selection, ratio)[0];
      EXPECT_EQ(chosen.plan.rule.num_selected, halves);
      EXPECT_EQ(chosen.plan.min_magnitude.defined(), halves > whole);
    }
    for (const char* selection : {"mlp/1", "similarity", "oracle"}) {
      const RoutedFfn chosen = Read(selection, ratio)[0];
      EXPECT_EQ(chosen.plan.rule.num_selected, whole) << selection;
      EXPECT_FALSE(chosen.plan.min_magnitude.defined()) << selection;
    }
    EXPECT_LE(Read("mlp:threshold", ratio)[0].plan.rule.threshold,
              Read("mlp:threshold/1", ratio)[0].plan.rule.threshold);
  }
  EXPECT_GT(Read("mlp", 0.75)[0].plan.rule.num_selected, 6);
}

TEST_P(StoredShare, OfAnyBudgetIsWithinIt) {
  for (const double ratio : {0.3, 0.5, 0.8, 1.0}) {
    double work = 0;
    for (const RoutedFfn& chosen : Read("mlp:budget", ratio)) {
      work += static_cast<double>(chosen.plan.rule.num_selected) *
              (chosen.plan.min_magnitude.defined()
                   ? (static_cast<double>(matrices_) - 0.5) / static_cast<double>(matrices_)
                   : 1);
    }
    EXPECT_LE(work, ratio * static_cast<double>(kExperts * moe_->ffns().size()) + 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(PlainAndGated, StoredShare,
                         ::testing::Values("t5-relu-tied", "llama-llama3-rope-scaling"));

}  // namespace
}  // namespace moefy::route
