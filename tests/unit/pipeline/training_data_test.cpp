#include "pipeline/training_data.h"

#include <gtest/gtest.h>

#include "moefy/base/error.h"

namespace moefy::pipeline {
namespace {

task::Dataset TextOf(int64_t lines, int64_t max_windows) {
  task::Dataset dataset;
  std::string text;
  for (int64_t i = 0; i < lines; ++i) text += StrCat("line ", i, "\n");
  dataset.examples.emplace_back().fields["text"] = text;
  dataset.max_windows = max_windows;
  return dataset;
}

TEST(HoldOut, TakesTheEndOfALongTextAndFewOfItsWindows) {
  task::TaskSpec spec;
  spec.kind = task::TaskKind::kLanguageModelling;
  const task::Dataset whole = TextOf(100, 0);
  const TrainingData data = HoldOut(spec, whole, 1000);
  const std::string& train = data.train.examples.front().fields.at("text");
  const std::string& held = data.held_out.examples.front().fields.at("text");
  EXPECT_EQ(train + held, whole.examples.front().fields.at("text"));
  EXPECT_EQ(held.front(), '\n') << "cut where a line ends";
  EXPECT_NEAR(static_cast<double>(held.size()) / static_cast<double>(train.size() + held.size()),
              0.1, 0.02);
  EXPECT_EQ(data.train.max_windows, 0);
  EXPECT_EQ(data.held_out.max_windows, 1000);

  const TrainingData limited = HoldOut(spec, TextOf(100, 60), 1000);
  EXPECT_EQ(limited.train.max_windows, 60);
  EXPECT_EQ(limited.held_out.max_windows, 6) << "a tenth of what is asked for";
  EXPECT_EQ(HoldOut(spec, TextOf(100, 60), 4).held_out.max_windows, 4);
  EXPECT_EQ(HoldOut(spec, TextOf(100, 3), 4).held_out.max_windows, 1);
}

}  // namespace
}  // namespace moefy::pipeline
