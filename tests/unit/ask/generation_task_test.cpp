// Answers in the model's own words, against a loop that runs the whole model for every token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/tiny_tasks.h"

namespace moefy::ask {
namespace {

// The likeliest token again and again, until the end token.
Ids Greedy(Tiny& tiny, const Ids& prompt, int64_t num_tokens) {
  Ids decoder = tiny.causal() ? prompt : Ids{tiny.config().decoder_start_id};
  Ids out;
  while (static_cast<int64_t>(out.size()) < num_tokens) {
    const int64_t next = tiny.NextLogShares(prompt, decoder).argmax().item<int64_t>();
    out.push_back(next);
    decoder.push_back(next);
    if (next == 1) break;
  }
  return out;
}

class Generated : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(Generated, AreTheLikeliestWords) {
  Tiny tiny(GetParam().first, GetParam().second);
  tiny.spec.max_new_tokens = 5;
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const std::vector<Answer> answers = tiny.Ask();
  ASSERT_EQ(answers.size(), tiny.dataset.examples.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    const Ids prompt =
        tokenizer.Encode(task::FormatPrompt(tiny.spec, tiny.dataset.examples[i]), {}).ids;
    EXPECT_EQ(answers[i].text, tokenizer.Decode(Greedy(tiny, prompt, 5), true));
    EXPECT_FALSE(answers[i].scores.defined());
  }
}
INSTANTIATE_TEST_SUITE_P(Models, Generated,
                         testing::Values(std::pair("t5-relu-tied", "letters"),
                                         std::pair("m2m_100-relu", "letters"),
                                         std::pair("gpt2-relu-ninner", "letters"),
                                         std::pair("t5-relu-tied", "squad"),
                                         std::pair("llama-llama3-rope-scaling", "squad")));

TEST(Generation, StopsBeforeTheStop) {
  Tiny tiny("gpt2-relu-ninner", "letters");
  tiny.spec.max_new_tokens = 4;
  const std::string whole = tiny.Ask()[0].text;
  const std::vector<std::string> words = Split(whole, ' ');
  ASSERT_GE(words.size(), 2u) << whole;
  tiny.spec.stop = " " + words[1];
  EXPECT_EQ(tiny.Ask()[0].text, words[0]);
}

TEST(Generation, FiguresComeFromTheText) {
  Tiny tiny("t5-relu-tied", "letters");
  // abg -> "ab" (1 of 3 wrong), ga -> "ga" (0 of 2).
  std::vector<Answer> answers(2);
  answers[0].text = "ab";
  answers[1].text = " ga ";
  EXPECT_DOUBLE_EQ(tiny.Figure("character_error_rate", answers).value, 0.2);
  EXPECT_DOUBLE_EQ(tiny.Figure("exact_match", answers).value, 0.5);
  EXPECT_DOUBLE_EQ(tiny.Figure("rouge_l", answers).value, 0.5);
  Tiny questions("t5-relu-tied", "squad");
  answers[0].text = "12 miles long";  // F1 with "12 miles": 2 of 3 and 2 of 2
  answers[1].text = "";               // no answer is right
  EXPECT_DOUBLE_EQ(questions.Figure("f1", answers).value, (0.8 + 1) / 2);
  EXPECT_DOUBLE_EQ(questions.Figure("exact_match", answers).value, 0.5);
}

TEST(Generation, TheRightAnswerIsTheFirstAcceptedOne) {
  Tiny tiny("t5-relu-tied", "squad");
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const auto sequences =
      PrepareTask(tiny.spec, tiny.dataset, tiny.config(), tokenizer, tiny.generation)
          ->RightSequences();
  ASSERT_EQ(sequences.size(), 2u);
  EXPECT_EQ(sequences[0].target, tokenizer.Encode("12 miles", {}).ids);  // with the end token
  EXPECT_EQ(sequences[1].target, Ids{1});                                // there is none
  Tiny causal("gpt2-relu-ninner", "letters");
  causal.spec.max_new_tokens = 5;
  const tests::WordTokenizer words = causal.Tokenizer();
  const auto continued =
      PrepareTask(causal.spec, causal.dataset, causal.config(), words, causal.generation)
          ->RightSequences();
  EXPECT_EQ(continued[1].input.ids, words.Encode("γα", {}).ids);
  Ids ga = words.Encode("ga", {.add_special_tokens = false}).ids;
  ga.push_back(1);
  EXPECT_EQ(continued[1].target, ga);
}

TEST(Generation, ClassifiersAreRefused) {
  Tiny tiny("bert-cls-relu", "letters");
  tests::ExpectError(ErrorKind::kInput, {"a classification head cannot", "generation task"},
                     [&] { tiny.Ask(); });
  Tiny questions("bert-cls-relu", "squad");
  tests::ExpectError(
      ErrorKind::kInput,
      {"question answering task 'rivers'", "a question answering head or a language model's head"},
      [&] { questions.Ask(); });
}

}  // namespace
}  // namespace moefy::ask
