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

model::ModelConfig BertClassifier(int64_t num_labels) {
  model::ModelConfig config;
  config.family = "bert";
  config.head = model::Head::kSequenceClassification;
  config.num_labels = num_labels;
  config.num_token_types = 2;
  config.vocab_size = config.input_vocab_size = 100;
  return config;
}

task::TaskSpec Sentiment() {
  task::TaskSpec spec;
  spec.name = "sentiment";
  spec.inputs = {"text"};
  spec.prompt = "say {text}";
  spec.labels = {{"0", "bad"}, {"1", "good"}};
  return spec;
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

TEST(TaskReader, ReadsTextToTextByTheFirstTokenOfEachLabelWord) {
  const tests::WordTokenizer tokenizer({"say", "fine", "bad", "good"});
  const task::TaskSpec spec = Sentiment();
  const model::ModelConfig config = T5();
  const TaskReader reader(spec, config, tokenizer);
  task::Dataset dataset;
  dataset.examples.push_back({{{"text", "fine"}}, 1});
  EXPECT_THAT(reader.Encode(dataset)[0].ids, ElementsAre(3, 4, 1));
  const at::Tensor logits = at::arange(7, at::kFloat).view({1, 7});
  EXPECT_TRUE(at::equal(reader.LabelScores(logits), at::tensor({5.f, 6.f}).view({1, 2})));
}

TEST(TaskReader, ReadsAClassificationHeadAsItIs) {
  const tests::WordTokenizer tokenizer({"fine"});
  const task::TaskSpec spec = Sentiment();
  const model::ModelConfig config = BertClassifier(2);
  const TaskReader reader(spec, config, tokenizer);
  task::Dataset dataset;
  dataset.examples.push_back({{{"text", "fine"}}, 1});
  EXPECT_THAT(reader.Encode(dataset)[0].ids, ElementsAre(3, 1));
  const at::Tensor logits = at::tensor({0.5f, 0.25f}).view({1, 2});
  EXPECT_TRUE(at::equal(reader.LabelScores(logits), logits));
}

TEST(TaskReader, ALowerCasedLabelIsTheSameWord) {
  const tests::WordTokenizer tokenizer({"good", "bad"}, tests::SpecialPlace::kEnd, true);
  task::TaskSpec spec = Sentiment();
  spec.labels = {{"0", "Bad"}, {"1", "GOOD"}};
  const model::ModelConfig config = T5();
  const TaskReader reader(spec, config, tokenizer);
  const at::Tensor logits = at::arange(5, at::kFloat).view({1, 5});
  EXPECT_TRUE(at::equal(reader.LabelScores(logits), at::tensor({4.f, 3.f}).view({1, 2})));
}

TEST(TaskReader, TasksThatDoNotFitTheModelAreRefused) {
  const tests::WordTokenizer tokenizer({"say", "good"});
  const model::ModelConfig t5 = T5(), bert = BertClassifier(3);
  task::TaskSpec spec = Sentiment();
  ExpectError(ErrorKind::kInput, {"'bad'", "label '0'", "not in the model's vocabulary"},
              [&] { TaskReader(spec, t5, tokenizer); });
  ExpectError(ErrorKind::kInput, {"2 labels", "3"}, [&] { TaskReader(spec, bert, tokenizer); });
  spec.labels = {{"0", "good"}, {"1", "good say"}};
  ExpectError(ErrorKind::kInput, {"'good'", "'good say'", "same token"},
              [&] { TaskReader(spec, t5, tokenizer); });
  spec = Sentiment();
  spec.prompt = "";
  ExpectError(ErrorKind::kInput, {"no prompt"}, [&] { TaskReader(spec, t5, tokenizer); });
  model::ModelConfig spans = bert;
  spans.head = model::Head::kQuestionAnswering;
  ExpectError(ErrorKind::kInput, {"this head cannot answer the classification task"},
              [&] { TaskReader(spec, spans, tokenizer); });
}

// As character models have it: what goes in and what comes out are numbered apart.
class TwoSided final : public text::Tokenizer {
 public:
  TwoSided(tests::WordTokenizer source, tests::WordTokenizer target)
      : source_(std::move(source)), target_(std::move(target)) {}
  text::Encoding Encode(std::string_view text, const text::EncodeOptions& options) const override {
    return source_.Encode(text, options);
  }
  text::Encoding EncodePair(std::string_view first, std::string_view second,
                            const text::EncodeOptions& options) const override {
    return source_.EncodePair(first, second, options);
  }
  text::Encoding EncodeTarget(std::string_view text,
                              const text::EncodeOptions& options) const override {
    return target_.Encode(text, options);
  }
  std::string Decode(const std::vector<int64_t>& ids, bool skip_special_tokens) const override {
    return target_.Decode(ids, skip_special_tokens);
  }
  int64_t vocab_size() const override { return source_.vocab_size(); }
  int64_t pad_id() const override { return 0; }
  std::optional<int64_t> eos_id() const override { return 1; }

 private:
  tests::WordTokenizer source_, target_;
};

TEST(TaskReader, LabelsAreWhatComesOut) {
  const TwoSided tokenizer(tests::WordTokenizer({"say", "bad", "good"}),
                           tests::WordTokenizer({"good", "bad"}));
  const model::ModelConfig t5 = T5();
  const task::TaskSpec spec = Sentiment();
  EXPECT_THAT(TaskReader(spec, t5, tokenizer).label_ids(), ElementsAre(4, 3));
  // A word that only goes in is none to answer with.
  const TwoSided without(tests::WordTokenizer({"say", "bad", "good"}),
                         tests::WordTokenizer({"good"}));
  ExpectError(ErrorKind::kInput, {"'bad'", "not in the model's vocabulary"},
              [&] { TaskReader(spec, t5, without); });
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
