// The committed task files against the real data, where it is.
#include <gtest/gtest.h>

#include "moefy/task/dataset.h"
#include "shared_data.h"

namespace moefy::task {
namespace {

TaskSpec CommittedTask(const std::string& name) {
  return ReadTaskSpec(std::filesystem::path(MOEFY_SOURCE_DIR) / "configs" / "tasks" /
                      (name + ".json"));
}

// Examples, and how many of them have the last label.
std::pair<size_t, int64_t> Count(const Dataset& dataset) {
  int64_t num_positive = 0;
  for (const Example& example : dataset.examples) num_positive += example.label_idx;
  return {dataset.examples.size(), num_positive};
}

TEST(TaskData, Sst2) {
  const std::filesystem::path data = tests::SharedData() / "data" / "sst2";
  MOEFY_SKIP_WITHOUT(data);
  const TaskSpec spec = CommittedTask("sst2");
  const Dataset eval = ReadDataset(spec, "eval", data);
  EXPECT_EQ(Count(eval), (std::pair<size_t, int64_t>(872, 444)));
  EXPECT_EQ(FormatPrompt(spec, eval.examples[0]), "sst2 sentence: one long string of cliches .");
  EXPECT_EQ(Count(ReadDataset(spec, "train", data)).first, 67349u);
}

TEST(TaskData, Imdb) {
  const std::filesystem::path data = tests::SharedData() / "data" / "imdb";
  MOEFY_SKIP_WITHOUT(data);
  const TaskSpec spec = CommittedTask("imdb");
  const Dataset eval = ReadDataset(spec, "eval", data);
  EXPECT_EQ(Count(eval), (std::pair<size_t, int64_t>(25000, 12500)));
  EXPECT_TRUE(FormatPrompt(spec, eval.examples[0]).starts_with("imdb review: This comic classic"));
  EXPECT_EQ(Count(ReadDataset(spec, "train", data)), (std::pair<size_t, int64_t>(25000, 12500)));
}

}  // namespace
}  // namespace moefy::task
