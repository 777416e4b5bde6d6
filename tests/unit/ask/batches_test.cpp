#include "ask/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "support/word_tokenizer.h"

namespace moefy::ask {
namespace {

using testing::ElementsAre;
using tests::ExpectError;

text::Encoding OfLength(int64_t length) {
  return {std::vector<int64_t>(static_cast<size_t>(length), length),
          std::vector<int64_t>(static_cast<size_t>(length), 0)};
}

model::ModelConfig T5() {
  model::ModelConfig config;
  config.family = "t5";
  config.architecture = model::Architecture::kEncoderDecoder;
  config.head = model::Head::kLanguageModel;
  config.decoder_start_id = 0;
  config.vocab_size = config.input_vocab_size = 100;
  return config;
}

TEST(MakeBatches, EveryExampleOnceSortedByLengthWithinTheBudget) {
  const std::vector<text::Encoding> encodings = {OfLength(2), OfLength(5), OfLength(3), OfLength(5),
                                                 OfLength(20)};
  const std::vector<Batch> batches = MakeBatches(encodings, T5(), /*pad_id=*/0, 10);
  ASSERT_EQ(batches.size(), 3u);
  EXPECT_THAT(batches[0].example_idxs, ElementsAre(4));  // one example always fits
  EXPECT_THAT(batches[1].example_idxs, ElementsAre(1, 3));
  EXPECT_THAT(batches[2].example_idxs, ElementsAre(2, 0));
  const model::ForwardInputs& last = batches[2].inputs;
  EXPECT_TRUE(at::equal(last.input_ids, at::tensor({3, 3, 3, 2, 2, 0}, at::kLong).view({2, 3})));
  EXPECT_TRUE(
      at::equal(last.attention_mask, at::tensor({1, 1, 1, 1, 1, 0}, at::kLong).view({2, 3})));
  EXPECT_EQ(last.decoder_input_ids.sizes(), at::IntArrayRef({2, 1}));
  EXPECT_FALSE(last.token_type_ids.defined());
}

at::Tensor Table(const std::vector<int64_t>& ids, int64_t rows) {
  return at::tensor(ids, at::kLong).view({rows, -1});
}

TEST(MakeBatches, AnEncoderDecoderReadsTheTargetButForItsEnd) {
  const std::vector<Sequence> sequences = {{OfLength(2), {7, 8, 9}}, {OfLength(3), {6}}};
  const std::vector<Batch> batches = MakeBatches(sequences, T5(), /*pad_id=*/5);
  ASSERT_EQ(batches.size(), 1u);
  const Batch& batch = batches[0];
  EXPECT_THAT(batch.example_idxs, ElementsAre(0, 1));
  EXPECT_TRUE(at::equal(batch.inputs.input_ids, Table({2, 2, 5, 3, 3, 3}, 2)));
  EXPECT_TRUE(at::equal(batch.inputs.decoder_input_ids, Table({0, 7, 8, 0, 5, 5}, 2)));
  EXPECT_TRUE(at::equal(batch.inputs.decoder_attention_mask, Table({1, 1, 1, 1, 0, 0}, 2)));
  EXPECT_TRUE(at::equal(batch.targets, Table({7, 8, 9, 6, kNoTarget, kNoTarget}, 2)));
}

TEST(MakeBatches, ACausalModelReadsTheTargetAfterTheInput) {
  model::ModelConfig config = T5();
  config.architecture = model::Architecture::kDecoder;
  const std::vector<Sequence> sequences = {
      {OfLength(2), {7, 8}}, {OfLength(1), {6}}, {OfLength(1), {}}};
  const std::vector<Batch> batches = MakeBatches(sequences, config, /*pad_id=*/5);
  ASSERT_EQ(batches.size(), 1u);
  const Batch& batch = batches[0];
  EXPECT_THAT(batch.example_idxs, ElementsAre(0, 1, 2));
  EXPECT_TRUE(at::equal(batch.inputs.input_ids, Table({2, 2, 7, 5, 5, 1, 5, 5, 1}, 3)));
  EXPECT_TRUE(at::equal(batch.inputs.attention_mask, Table({1, 1, 1, 0, 0, 1, 0, 0, 1}, 3)));
  const int64_t none = kNoTarget;
  EXPECT_TRUE(at::equal(batch.targets, Table({none, 7, 8, none, none, 6, none, none, none}, 3)));
}

TEST(EncodeTextFile, ReadsJsonByNameAndNamesTheLine) {
  const tests::TempDir dir;
  const tests::WordTokenizer tokenizer({"a", "b"});
  model::ModelConfig words = T5();
  words.input_vocab_size = 5;
  const auto path = dir.Write("text.JSONL", "{\"body\": \"a b\"}\n{\"body\": \"b\"}\n");
  const auto encodings = EncodeTextFile(path, "body", tokenizer, words, 10, 0);
  ASSERT_EQ(encodings.size(), 2u);
  EXPECT_THAT(encodings[0].ids, ElementsAre(3, 4, 1));
  words.input_vocab_size = 4;  // no row for "b"
  ExpectError(ErrorKind::kInput, {"text.JSONL: line 1: token 2 of the text is 4", "0 to 3"},
              [&] { EncodeTextFile(path, "body", tokenizer, words, 10, 0); });
}

TEST(EncodeTextFile, OneExampleALine) {
  const tests::TempDir dir;
  const tests::WordTokenizer tokenizer({"a", "b"});
  model::ModelConfig words = T5();
  words.input_vocab_size = 5;
  const auto path = dir.Write("text.txt", "a b\n\n  \nb\na\n");
  EXPECT_EQ(EncodeTextFile(path, "text", tokenizer, words, 10, 0).size(), 3u);
  EXPECT_EQ(EncodeTextFile(path, "text", tokenizer, words, 10, 2).size(), 2u);
  ExpectError(ErrorKind::kInput, {"empty.txt", "no text"}, [&] {
    EncodeTextFile(dir.Write("empty.txt", "\n\n"), "text", tokenizer, words, 10, 0);
  });
}

}  // namespace
}  // namespace moefy::ask
