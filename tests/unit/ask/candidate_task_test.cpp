// Labels and choices by log likelihood, against one run of the model per token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/tiny_tasks.h"

namespace moefy::ask {
namespace {

// The scores that `answer` should have, and that it says the best of them.
void ExpectScores(const Answer& answer, const std::vector<double>& wanted) {
  ASSERT_EQ(answer.scores.size(0), 1);
  ASSERT_EQ(answer.scores.size(1), static_cast<int64_t>(wanted.size()));
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(answer.scores[0][static_cast<int64_t>(i)].item<double>(), wanted[i],
                kScoreTolerance);
  }
  const auto best = std::max_element(wanted.begin(), wanted.end()) - wanted.begin();
  EXPECT_EQ(answer.label_idx, best);
}

class CausalChoices : public testing::TestWithParam<bool> {};

TEST_P(CausalChoices, AreScoredWhole) {
  Tiny tiny("gpt2-relu-ninner", "sums");
  tiny.spec.length_normalized = GetParam();
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const std::vector<Answer> answers = tiny.Ask();
  ASSERT_EQ(answers.size(), 2u);
  int64_t right = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const task::Example& example = tiny.dataset.examples[i];
    const Ids prompt = tokenizer.Encode(task::FormatPrompt(tiny.spec, example), {}).ids;
    EXPECT_EQ(prompt.front(), 1);  // begins with a special token, ends with none
    std::vector<double> wanted;
    for (const std::string& choice : example.choices) {
      const std::vector<double> each = tiny.LogShares(prompt, tokenizer.Encode(choice, kPlain).ids);
      wanted.push_back(GetParam() ? Sum(each) / static_cast<double>(each.size()) : Sum(each));
    }
    ExpectScores(answers[i], wanted);
    EXPECT_EQ(answers[i].text, std::string(1, static_cast<char>('A' + answers[i].label_idx)));
    right += answers[i].label_idx == example.label_idx;
  }
  EXPECT_EQ(tiny.dataset.examples[0].choices[2], "five, or so");  // three tokens against one
  EXPECT_DOUBLE_EQ(tiny.Figure("accuracy", answers).value, static_cast<double>(right) / 2);
}
INSTANTIATE_TEST_SUITE_P(Normalized, CausalChoices, testing::Bool());

// lm-evaluation-harness's acc_norm: by characters of the choice, whatever length_normalized says.
TEST_P(CausalChoices, AreAlsoComparedPerCharacter) {
  Tiny tiny("gpt2-relu-ninner", "sums");
  tiny.spec.length_normalized = GetParam();
  tiny.dataset.examples[1].choices = {"thrée", "four four four four", "five"};
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const std::vector<Answer> answers = tiny.Ask();
  int64_t right = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const task::Example& example = tiny.dataset.examples[i];
    const Ids prompt = tokenizer.Encode(task::FormatPrompt(tiny.spec, example), {}).ids;
    std::vector<double> wanted;
    for (const std::string& choice : example.choices) {
      const double characters = choice == "thrée" ? 5 : static_cast<double>(choice.size());
      wanted.push_back(Sum(tiny.LogShares(prompt, tokenizer.Encode(choice, kPlain).ids)) /
                       characters);
    }
    const auto best = std::max_element(wanted.begin(), wanted.end()) - wanted.begin();
    EXPECT_EQ(answers[i].normalized_idx, best);
    right += best == example.label_idx;
  }
  EXPECT_DOUBLE_EQ(tiny.Figure("accuracy_norm", answers).value, static_cast<double>(right) / 2);
}

// As WinoGrande has it: the choices are in the prompt, and what follows is the same.
class Contexts : public testing::TestWithParam<const char*> {};

TEST_P(Contexts, AreComparedByWhatFollowsThem) {
  Tiny tiny(GetParam(), "sums");
  tiny.spec.prompt = "{choice}";
  tiny.spec.continuation = "{question}";
  tiny.spec.choices.clear();
  tiny.dataset.examples[0].fields["question"] = "two";  // one token: no run serves two choices
  const tests::WordTokenizer tokenizer = [&] {
    task::TaskSpec spec = tiny.spec;
    tiny.spec.prompt.clear();
    const tests::WordTokenizer words = tiny.Tokenizer();
    tiny.spec = spec;
    return words;
  }();
  const auto prepared =
      PrepareTask(tiny.spec, tiny.dataset, tiny.config(), tokenizer, tiny.generation);
  EXPECT_EQ(prepared->num_steps(), 6u);
  const std::vector<Answer> answers = prepared->Ask(tiny.model, SilentProgress());
  const std::vector<Sequence> right = prepared->RightSequences();
  for (size_t i = 0; i < 2; ++i) {
    const task::Example& example = tiny.dataset.examples[i];
    const Ids target = tokenizer.Encode(example.fields.at("question"), kPlain).ids;
    std::vector<double> wanted;
    for (const std::string& choice : example.choices) {
      wanted.push_back(Sum(tiny.LogShares(tokenizer.Encode(choice, {}).ids, target)));
    }
    ExpectScores(answers[i], wanted);
    EXPECT_EQ(right[i].target, target);
    EXPECT_EQ(right[i].input.ids,
              tokenizer.Encode(example.choices[static_cast<size_t>(example.label_idx)], {}).ids);
  }
}
INSTANTIATE_TEST_SUITE_P(Models, Contexts, testing::Values("gpt2-relu-ninner", "t5-relu-tied"));

TEST(Choices, ATextToTextModelEndsThem) {
  Tiny tiny("t5-relu-tied", "dream");
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const std::vector<Answer> answers = tiny.Ask();
  ASSERT_EQ(answers.size(), 1u);
  const task::Example& example = tiny.dataset.examples[0];
  const Ids prompt = tokenizer.Encode(task::FormatPrompt(tiny.spec, example), {}).ids;
  std::vector<double> wanted;
  for (const char* choice : {"On foot.", "By bus."}) {
    const Ids target = tokenizer.Encode(choice, {}).ids;
    EXPECT_EQ(target.size(), 3u);
    EXPECT_EQ(target.back(), 1);
    wanted.push_back(Sum(tiny.LogShares(prompt, target)));
  }
  ExpectScores(answers[0], wanted);
}

TEST(Choices, LettersAreToldApartInOneStep) {
  Tiny tiny("t5-relu-tied", "race");
  tiny.spec.answer_by_letter = true;
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const auto prepared =
      PrepareTask(tiny.spec, tiny.dataset, tiny.config(), tokenizer, tiny.generation);
  EXPECT_EQ(prepared->num_steps(), 2u);  // one run a question, whatever the number of choices
  const std::vector<Answer> answers = prepared->Ask(tiny.model, SilentProgress());
  const std::vector<Sequence> right = prepared->RightSequences();
  ASSERT_EQ(answers.size(), 2u);
  const size_t num_choices[] = {2, 3};
  const Ids letters = {3, 4, 5, 6};  // "A" is the first word of the vocabulary
  for (size_t i = 0; i < 2; ++i) {
    const Ids prompt =
        tokenizer.Encode(task::FormatPrompt(tiny.spec, tiny.dataset.examples[i]), {}).ids;
    std::vector<double> wanted;
    for (size_t k = 0; k < num_choices[i]; ++k) {
      wanted.push_back(tiny.LogShares(prompt, {letters[k]})[0]);
    }
    ExpectScores(answers[i], wanted);
    EXPECT_EQ(right[i].input.ids, prompt);
  }
  EXPECT_EQ(right[0].target, Ids{3});  // "Ann"
  EXPECT_EQ(right[1].target, Ids{5});  // "blue"
}

TEST(Choices, FourPerStory) {
  Tiny tiny("llama-llama3-rope-scaling", "mctest");
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const std::vector<Answer> answers = tiny.Ask();
  ASSERT_EQ(answers.size(), 4u);
  const task::Example& example = tiny.dataset.examples[1];
  const Ids prompt = tokenizer.Encode(task::FormatPrompt(tiny.spec, example), {}).ids;
  std::vector<double> wanted;
  for (const char* choice : {"a stone", "a shell", "a coin", "a leaf"}) {
    wanted.push_back(Sum(tiny.LogShares(prompt, tokenizer.Encode(choice, kPlain).ids)));
  }
  ExpectScores(answers[1], wanted);
}

// Both labels begin with the same token, so the first one tells nothing.
class WholeLabels : public testing::TestWithParam<const char*> {};

TEST_P(WholeLabels, AreComparedWhereFirstTokensAreAlike) {
  Tiny tiny(GetParam(), "moods");
  tiny.spec.labels = {{"sad", "very sad"}, {"glad", "very very glad"}};
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const std::vector<Answer> answers = tiny.Ask();
  ASSERT_EQ(answers.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const Ids prompt =
        tokenizer.Encode(task::FormatPrompt(tiny.spec, tiny.dataset.examples[i]), {}).ids;
    std::vector<double> wanted;
    for (const task::Label& label : tiny.spec.labels) {
      const text::EncodeOptions options{.add_special_tokens = !tiny.causal()};
      wanted.push_back(Sum(tiny.LogShares(prompt, tokenizer.Encode(label.word, options).ids)));
    }
    ExpectScores(answers[i], wanted);
    EXPECT_EQ(answers[i].text, tiny.spec.labels[static_cast<size_t>(answers[i].label_idx)].value);
  }
}
INSTANTIATE_TEST_SUITE_P(Models, WholeLabels, testing::Values("gpt2-relu-ninner", "t5-relu-tied"));

TEST(WholeLabels, OneTokenEachNeedsOneRunOfACausalModel) {
  Tiny tiny("gpt2-relu-ninner", "moods");
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const auto prepared =
      PrepareTask(tiny.spec, tiny.dataset, tiny.config(), tokenizer, tiny.generation);
  EXPECT_EQ(prepared->num_steps(), 3u);
  const Answer answer = prepared->Ask(tiny.model, SilentProgress())[1];
  const Ids prompt = tokenizer.Encode("mood: the rain came in through the roof", {}).ids;
  ExpectScores(answer, {tiny.LogShares(prompt, tokenizer.Encode("sad", kPlain).ids)[0],
                        tiny.LogShares(prompt, tokenizer.Encode("glad", kPlain).ids)[0]});
}

TEST(WholeLabels, ACausalModelReadsTheEndOfALongPrompt) {
  Tiny tiny("gpt2-relu-ninner", "moods");
  tiny.spec.max_tokens = 5;
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const Answer answer = tiny.Ask()[1];
  // Of five tokens one is the label; the beginning token stays.
  const Ids prompt = tokenizer.Encode("through the roof", {}).ids;
  EXPECT_EQ(prompt.size(), 4u);
  ExpectScores(answer, {tiny.LogShares(prompt, tokenizer.Encode("sad", kPlain).ids)[0],
                        tiny.LogShares(prompt, tokenizer.Encode("glad", kPlain).ids)[0]});
}

TEST(LabelTask, AHeadAnswersPairs) {
  Tiny tiny("bert-cls-relu", "follows");
  tiny.spec.labels.resize(static_cast<size_t>(tiny.config().num_labels), {"more", ""});
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const std::vector<Answer> answers = tiny.Ask();
  for (size_t i = 0; i < 2; ++i) {
    const task::Example& example = tiny.dataset.examples[i];
    const text::Encoding pair =
        tokenizer.EncodePair(example.fields.at("premise"), example.fields.at("claim"), {});
    model::ForwardInputs inputs;
    inputs.input_ids = at::tensor(pair.ids, at::kLong).unsqueeze(0);
    inputs.token_type_ids = at::tensor(pair.token_type_ids, at::kLong).unsqueeze(0);
    const at::Tensor logits = tiny.model.Forward(inputs).logits[0];
    std::vector<double> wanted;
    for (int64_t k = 0; k < logits.size(0); ++k) wanted.push_back(logits[k].item<double>());
    ExpectScores(answers[i], wanted);
  }
}

TEST(Choices, WhatCannotAnswerIsRefused) {
  Tiny classifier("bert-cls-relu", "race");
  tests::ExpectError(ErrorKind::kInput,
                     {"a classification head cannot answer the multiple choice task 'kites'",
                      "it takes a language model's head"},
                     [&] { classifier.Ask(); });
  Tiny letters("t5-relu-tied", "race");
  letters.spec.answer_by_letter = true;
  const tests::WordTokenizer without({"Ann", "Bob"});
  tests::ExpectError(ErrorKind::kInput, {"'A'", "not in the model's vocabulary"}, [&] {
    PrepareTask(letters.spec, letters.dataset, letters.config(), without, letters.generation);
  });
}

}  // namespace
}  // namespace moefy::ask
