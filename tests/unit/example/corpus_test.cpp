// The example's text: the same for ever, with the labels that a second reading gives.
#include "corpus.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "base/output.h"
#include "oracle.h"
#include "prompts.h"
#include "task/dataset.h"

namespace moefy::example {
namespace {

const std::filesystem::path kExample = MOEFY_SOURCE_DIR "/examples/quickstart";

TEST(ExampleCorpus, CommittedFilesAreWhatTheGeneratorWrites) {
  size_t num_bytes = 0;
  for (const DataFile& file : MakeDataFiles()) {
    EXPECT_TRUE(ReadTextFile(kExample / "data" / file.name) == file.text)
        << file.name << " differs: run moefy_example_generate examples/quickstart";
    num_bytes += file.text.size();
  }
  EXPECT_LT(num_bytes, 1'000'000u);
}

TEST(ExampleCorpus, TasksReadTheFilesWithBalancedLabelsAndNoTextInBoth) {
  for (const task::TaskSpec& spec : ReadSpecs(kExample)) {
    std::set<std::string> seen;
    for (const std::string split : {"train", "eval"}) {
      const task::Dataset data = task::ReadDataset(spec, split, spec.directory);
      EXPECT_EQ(data.examples.size(), split == "eval" ? 1000u : 2000u);
      std::map<int64_t, size_t> counts;
      for (const task::Example& example : data.examples) {
        const auto& fields = example.fields;
        const std::string& text = fields.at(fields.contains("story") ? "story" : "sentence");
        EXPECT_TRUE(seen.insert(text).second) << spec.name << " has twice: " << text;
        ++counts[example.label_idx];
      }
      ASSERT_EQ(counts.size(), spec.labels.size());
      for (const auto& [label_idx, count] : counts) {
        EXPECT_EQ(count, data.examples.size() / spec.labels.size()) << label_idx;
      }
    }
  }
}

TEST(ExampleCorpus, SubsetsAreKeptApart) {
  for (const Corpus& corpus : Corpora()) {
    for (const Subset subset : {Subset::kTrain, Subset::kEval}) {
      for (const auto& row : MakeRows(corpus, subset, 200, 7)) {
        EXPECT_EQ(SubsetOf(row), subset);
        EXPECT_EQ(row.size(), corpus.header.size());
      }
    }
  }
}

TEST(ExampleCorpus, SeedsDecide) {
  for (const Corpus& corpus : Corpora()) {
    EXPECT_EQ(MakeRows(corpus, Subset::kEval, 20, 5), MakeRows(corpus, Subset::kEval, 20, 5));
    EXPECT_NE(MakeRows(corpus, Subset::kEval, 20, 5), MakeRows(corpus, Subset::kEval, 20, 6));
  }
}

TEST(ExampleCorpus, SentimentLabelsFollowFromTheText) {
  for (const Subset subset : {Subset::kTrain, Subset::kEval}) {
    for (const auto& row : MakeRows(Corpora()[0], subset, 3000, 11)) {
      EXPECT_EQ(SentimentLabel(row[0]), row[1]) << row[0];
    }
  }
}

TEST(ExampleCorpus, StoryLabelsFollowFromTheText) {
  for (const Subset subset : {Subset::kTrain, Subset::kEval}) {
    for (const auto& row : MakeRows(Corpora()[1], subset, 3000, 11)) {
      EXPECT_EQ(StoryLabel(row[0], row[1]), row[2]) << row[0] << " " << row[1];
    }
  }
}

// The committed rows themselves, through the files.
TEST(ExampleCorpus, CommittedLabelsFollowFromTheText) {
  const std::vector<task::TaskSpec> specs = ReadSpecs(kExample);
  for (const task::Example& example :
       task::ReadDataset(specs[0], "eval", specs[0].directory).examples) {
    const std::string& sentence = example.fields.at("sentence");
    EXPECT_EQ(SentimentLabel(sentence),
              specs[0].labels[static_cast<size_t>(example.label_idx)].value)
        << sentence;
  }
  for (const task::Example& example :
       task::ReadDataset(specs[1], "eval", specs[1].directory).examples) {
    const std::string& story = example.fields.at("story");
    EXPECT_EQ(StoryLabel(story, example.fields.at("question")),
              specs[1].labels[static_cast<size_t>(example.label_idx)].value)
        << story;
  }
}

// Neither task may be answered by a look at the words: the task would need no model.
TEST(ExampleCorpus, ShortcutsFail) {
  size_t num_by_last_word = 0, num_by_last_place = 0;
  const auto sentences = MakeRows(Corpora()[0], Subset::kEval, 1000, 3);
  for (const auto& row : sentences) {
    int sign = 0;  // of the last word of praise or blame, whatever turns it round
    for (const std::string& word : Words(row[0])) {
      if (const int polarity = ClausePolarity({word})) sign = polarity;
    }
    num_by_last_word += (sign > 0) == (row[1] == "positive");
  }
  const auto stories = MakeRows(Corpora()[1], Subset::kEval, 1000, 3);
  for (const auto& row : stories) {
    const WordList words = Words(row[0]);
    num_by_last_place += words[words.size() - 2] == row[2];
  }
  EXPECT_LT(num_by_last_word, 700u);
  EXPECT_LT(num_by_last_place, 650u);
}

}  // namespace
}  // namespace moefy::example
