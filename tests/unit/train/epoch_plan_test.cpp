#include "train/epoch_plan.h"

#include <gtest/gtest.h>

#include <numeric>

#include "train/trainer.h"

namespace moefy::train {
namespace {

std::vector<ask::Sequence> Sequences(int64_t count) {
  std::vector<ask::Sequence> sequences(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    auto& sequence = sequences[static_cast<size_t>(i)];
    sequence.input.ids.assign(static_cast<size_t>(3 + i % 20), i);
    sequence.input.token_type_ids.assign(sequence.input.ids.size(), 0);
    sequence.target = {1};
  }
  return sequences;
}

TEST(PlanEpoch, TakesEverySequenceOnceInAnotherOrderEachTime) {
  const auto sequences = Sequences(1003);
  const auto first = PlanEpoch(sequences, 8, 1, 0);
  EXPECT_EQ(first, PlanEpoch(sequences, 8, 1, 0));
  EXPECT_NE(first, PlanEpoch(sequences, 8, 1, 1));
  EXPECT_NE(first, PlanEpoch(sequences, 8, 2, 0));
  EXPECT_EQ(first.size(), 126U);
  std::vector<int64_t> counts(sequences.size());
  for (const auto& step : first) {
    for (const size_t i : step) ++counts[i];
  }
  EXPECT_EQ(counts, std::vector<int64_t>(sequences.size(), 1));
}

TEST(TakeSequences, LeavesOutTokensButTheFirstAndLast) {
  std::vector<ask::Sequence> one(1);
  one[0].input.ids.resize(1002);
  std::iota(one[0].input.ids.begin(), one[0].input.ids.end(), 0);
  one[0].input.token_type_ids.assign(1002, 0);
  const auto taken = TakeSequences(one, {0}, 0.3, 7, 4);
  const std::vector<int64_t>& ids = taken[0].input.ids;
  EXPECT_EQ(ids.size(), taken[0].input.token_type_ids.size());
  EXPECT_NEAR(static_cast<double>(ids.size()), 702, 60);
  EXPECT_EQ(ids.front(), 0);
  EXPECT_EQ(ids.back(), 1001);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_EQ(ids, TakeSequences(one, {0}, 0.3, 7, 4)[0].input.ids);
  EXPECT_NE(ids, TakeSequences(one, {0}, 0.3, 7, 5)[0].input.ids);
}

TEST(LearningRateShare, GrowsThenFalls) {
  TrainerOptions options;
  options.warm_up = 0.1;
  EXPECT_DOUBLE_EQ(LearningRateShare(options, 5, 100), 0.5);
  EXPECT_DOUBLE_EQ(LearningRateShare(options, 10, 100), 1);
  EXPECT_LT(LearningRateShare(options, 100, 100), 0.02);
  EXPECT_GT(LearningRateShare(options, 100, 100), 0);
  options.schedule = "cosine";
  EXPECT_NEAR(LearningRateShare(options, 55, 100), 0.5, 0.02);
  options.schedule = "constant";
  EXPECT_DOUBLE_EQ(LearningRateShare(options, 100, 100), 1);
  options.warm_up = 0;
  EXPECT_DOUBLE_EQ(LearningRateShare(options, 1, 100), 1);
}

}  // namespace
}  // namespace moefy::train
