// The committed task files against the real data, where it is.
#include <gtest/gtest.h>

#include <cstring>

#include "io/safetensors.h"
#include "moefy/base/strings.h"
#include "moefy/text/tokenizer.h"
#include "support/shared_data.h"
#include "task/dataset.h"

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
  const std::filesystem::path data = tests::SharedData() / "data";
  MOEFY_SKIP_WITHOUT(data);
  const TaskSpec spec = CommittedTask("sst2");
  const Dataset eval = ReadDataset(spec, "eval", data);
  EXPECT_EQ(Count(eval), (std::pair<size_t, int64_t>(872, 444)));
  EXPECT_EQ(FormatPrompt(spec, eval.examples[0]), "sst2 sentence: one long string of cliches .");
  EXPECT_EQ(Count(ReadDataset(spec, "train", data)).first, 67349u);
}

std::vector<int64_t> ReadIds(const io::SafetensorsFile& file, std::string_view name) {
  const io::TensorInfo* info = file.Find(name);
  if (!info) throw std::runtime_error("no tensor");
  const std::span<const std::byte> bytes = file.Bytes(*info);
  std::vector<int64_t> ids(bytes.size() / sizeof(int64_t));
  std::memcpy(ids.data(), bytes.data(), bytes.size());
  return ids;
}

// From the data file to the ids that a trained model was given by the reference implementation.
TEST(TaskData, Sst2PromptsBecomeTheRecordedIds) {
  const std::filesystem::path model = tests::SharedData() / "checkpoints" / "t5-relu-reviews";
  MOEFY_SKIP_WITHOUT(model);
  const TaskSpec spec = CommittedTask("sst2");
  const Dataset eval = ReadDataset(spec, "eval", tests::SharedData() / "data", 8);
  const std::unique_ptr<text::Tokenizer> tokenizer = text::LoadTokenizer(model);
  std::vector<std::vector<int64_t>> rows;
  size_t longest = 0;
  for (const Example& example : eval.examples) {
    rows.push_back(
        tokenizer->Encode(FormatPrompt(spec, example), {.max_tokens = spec.max_tokens}).ids);
    longest = std::max(longest, rows.back().size());
  }
  std::vector<int64_t> ids, mask;
  for (std::vector<int64_t> row : rows) {
    const size_t length = row.size();
    row.resize(longest, tokenizer->pad_id());
    ids.insert(ids.end(), row.begin(), row.end());
    for (size_t i = 0; i < longest; ++i) mask.push_back(i < length);
  }
  const io::SafetensorsFile golden(model / "golden.safetensors");
  EXPECT_EQ(ids, ReadIds(golden, "input_ids"));
  EXPECT_EQ(mask, ReadIds(golden, "attention_mask"));
  // The words' first tokens, as the checkpoint's README gives them.
  EXPECT_EQ(tokenizer->Encode("positive").ids.at(0), 1417);
  EXPECT_EQ(tokenizer->Encode("negative").ids.at(0), 2237);
}

TEST(TaskData, Imdb) {
  const std::filesystem::path data = tests::SharedData() / "data";
  MOEFY_SKIP_WITHOUT(data);
  const TaskSpec spec = CommittedTask("imdb");
  const Dataset eval = ReadDataset(spec, "eval", data);
  EXPECT_EQ(Count(eval), (std::pair<size_t, int64_t>(25000, 12500)));
  EXPECT_TRUE(FormatPrompt(spec, eval.examples[0]).starts_with("imdb review: This comic classic"));
  EXPECT_EQ(Count(ReadDataset(spec, "train", data)), (std::pair<size_t, int64_t>(25000, 12500)));
}

// The other committed tasks: how many examples their data give.
TEST(TaskData, OtherTasks) {
  const std::filesystem::path data = tests::SharedData() / "data";
  struct Counted {
    const char* task;
    const char* split;
    size_t num_examples;
  };
  for (const Counted& counted :
       {Counted{"rte", "eval", 277}, Counted{"rte", "train", 2490}, Counted{"agnews", "eval", 7600},
        Counted{"agnews", "train", 10001}, Counted{"dream", "train", 6116},
        Counted{"dream", "eval", 2040}, Counted{"dream", "test", 2041},
        Counted{"mctest", "eval", 200}, Counted{"mctest", "train", 1200},
        Counted{"mctest", "test", 600}, Counted{"ar2en", "train", 12877},
        Counted{"ar2en", "eval", 1431}, Counted{"ar2en", "test", 1590},
        Counted{"tinystories", "eval", 5}, Counted{"wikitext2", "eval", 1},
        Counted{"flores_en_pt", "eval", 997}, Counted{"flores_pt_en", "test", 1012}}) {
    SCOPED_TRACE(StrCat(counted.task, " ", counted.split));
    const TaskSpec spec = CommittedTask(counted.task);
    const std::filesystem::path file =
        data / spec.GetSplit(counted.split).Files(spec.format).front();
    MOEFY_SKIP_WITHOUT(file);
    EXPECT_EQ(ReadDataset(spec, counted.split, data).examples.size(), counted.num_examples);
  }
}

}  // namespace
}  // namespace moefy::task
