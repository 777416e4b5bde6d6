// Labels in one step: what the model is given, what its scores mean, and which tasks are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/tiny_tasks.h"

namespace moefy::ask {
namespace {

using testing::ElementsAre;
using tests::ExpectError;

model::ModelConfig TextToText() {
  model::ModelConfig config;
  config.family = "t5";
  config.architecture = model::Architecture::kEncoderDecoder;
  config.head = model::Head::kLanguageModel;
  config.decoder_start_id = 0;
  config.vocab_size = config.input_vocab_size = 100;
  return config;
}

model::ModelConfig Classifier(int64_t num_labels) {
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

// One example, "fine", which is good: what the model reads and what it should say.
Sequence RightSequence(const task::TaskSpec& spec, const model::ModelConfig& config,
                       const text::Tokenizer& tokenizer) {
  task::Dataset dataset;
  dataset.examples.push_back({{{"text", "fine"}}, 1});
  const auto sequences =
      PrepareTask(spec, dataset, config, tokenizer, model::GenerationOptions())->RightSequences();
  return sequences.at(0);
}

TEST(LabelTask, ATextToTextModelReadsThePromptAndSaysTheWord) {
  const tests::WordTokenizer tokenizer({"say", "fine", "bad", "good"});
  const Sequence sequence = RightSequence(Sentiment(), TextToText(), tokenizer);
  EXPECT_THAT(sequence.input.ids, ElementsAre(3, 4, 1));
  EXPECT_THAT(sequence.target, ElementsAre(6));
}

TEST(LabelTask, AClassificationHeadReadsTheInputAndGivesTheClass) {
  const tests::WordTokenizer tokenizer({"fine"});
  const Sequence sequence = RightSequence(Sentiment(), Classifier(2), tokenizer);
  EXPECT_THAT(sequence.input.ids, ElementsAre(3, 1));
  EXPECT_THAT(sequence.target, ElementsAre(1));
}

TEST(LabelTask, ScoresAreTheLogitsOfTheWordsAtTheFirstStep) {
  Tiny tiny("t5-relu-tied", "sums");
  tiny.spec.kind = task::TaskKind::kClassification;
  tiny.spec.metric = "accuracy";
  tiny.spec.labels = {{"0", "three"}, {"1", "four"}};
  tiny.spec.prompt = "{question}";
  for (task::Example& example : tiny.dataset.examples) example.label_idx = 0;
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const std::vector<Answer> answers = tiny.Ask();
  for (size_t i = 0; i < answers.size(); ++i) {
    const Ids prompt =
        tokenizer.Encode(task::FormatPrompt(tiny.spec, tiny.dataset.examples[i]), {}).ids;
    const at::Tensor all = tiny.NextLogShares(prompt, {tiny.config().decoder_start_id});
    const at::Tensor scores = answers[i].scores[0];
    // Logits and log shares differ by the same number for all words.
    const auto id = [&](const char* word) {
      return tokenizer.Encode(word, {.add_special_tokens = false}).ids.front();
    };
    EXPECT_NEAR((scores[1] - scores[0]).item<double>(),
                (all[id("four")] - all[id("three")]).item<double>(), kScoreTolerance);
  }
}

TEST(LabelTask, ALowerCasedLabelIsTheSameWord) {
  const tests::WordTokenizer tokenizer({"good", "bad"}, tests::SpecialPlace::kEnd, true);
  task::TaskSpec spec = Sentiment();
  spec.labels = {{"0", "Bad"}, {"1", "GOOD"}};
  EXPECT_THAT(RightSequence(spec, TextToText(), tokenizer).target, ElementsAre(3));
}

TEST(LabelTask, TasksThatDoNotFitTheModelAreRefused) {
  const tests::WordTokenizer tokenizer({"say", "good"});
  const model::ModelConfig t5 = TextToText(), bert = Classifier(3);
  task::TaskSpec spec = Sentiment();
  const auto refuse = [&](const model::ModelConfig& config,
                          std::initializer_list<std::string_view> fragments) {
    ExpectError(ErrorKind::kInput, fragments, [&] { RightSequence(spec, config, tokenizer); });
  };
  refuse(t5, {"'bad'", "label '0'", "not in the model's vocabulary"});
  refuse(bert, {"2 labels", "3"});
  spec.inputs = {};
  refuse(bert, {"has no inputs"});
  spec = Sentiment();
  spec.prompt = "";
  refuse(t5, {"no prompt"});
  model::ModelConfig spans = bert;
  spans.head = model::Head::kQuestionAnswering;
  refuse(spans, {"a question answering head cannot answer the classification task"});
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

TEST(LabelTask, LabelsAreWhatComesOut) {
  const TwoSided tokenizer(tests::WordTokenizer({"say", "bad", "good"}),
                           tests::WordTokenizer({"good", "bad"}));
  EXPECT_THAT(RightSequence(Sentiment(), TextToText(), tokenizer).target, ElementsAre(3));
  // A word that only goes in is none to answer with.
  const TwoSided without(tests::WordTokenizer({"say", "bad", "good"}),
                         tests::WordTokenizer({"good"}));
  ExpectError(ErrorKind::kInput, {"'bad'", "not in the model's vocabulary"},
              [&] { RightSequence(Sentiment(), TextToText(), without); });
}

}  // namespace
}  // namespace moefy::ask
