// Completions against one run of the model per token.
#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"
#include "support/tiny_tasks.h"

namespace moefy::ask {
namespace {

// The sums of tests/data/tasks, with their right choice as what is to be said.
Tiny Completions(const std::string& pico) {
  Tiny tiny(pico, "sums");
  tiny.spec.kind = task::TaskKind::kCompletion;
  tiny.spec.metric = "accuracy";
  tiny.spec.prompt = "{question}";
  for (task::Example& example : tiny.dataset.examples) {
    example.answers = {example.choices[static_cast<size_t>(example.label_idx)]};
  }
  return tiny;
}

class Completion : public testing::TestWithParam<const char*> {};

TEST_P(Completion, IsScoredTokenByTokenAndAsAWhole) {
  Tiny tiny = Completions(GetParam());
  tiny.dataset.examples[0].answers = {"five, or so"};
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  // What the model itself would say after the second question.
  const Ids second = tokenizer.Encode(tiny.dataset.examples[1].fields.at("question"), {}).ids;
  const Ids start = tiny.causal() ? second : Ids{tiny.config().decoder_start_id};
  const int64_t likeliest = tiny.NextLogShares(second, start).argmax().item<int64_t>();
  if (likeliest >= 3) tiny.dataset.examples[1].answers = {tokenizer.Decode({likeliest}, true)};

  const auto prepared =
      PrepareTask(tiny.spec, tiny.dataset, tiny.config(), tokenizer, tiny.generation);
  const std::vector<Answer> answers = prepared->Ask(tiny.model, SilentProgress());
  ASSERT_EQ(answers.size(), 2u);
  double total = 0, right = 0;
  for (size_t i = 0; i < 2; ++i) {
    const task::Example& example = tiny.dataset.examples[i];
    const Ids prompt = tokenizer.Encode(example.fields.at("question"), {}).ids;
    const Ids target = tokenizer.Encode(example.answers.front(), kPlain).ids;
    EXPECT_EQ(prepared->RightSequences()[i].target, target);
    const std::vector<double> shares = tiny.LogShares(prompt, target);
    ASSERT_EQ(answers[i].nats.size(), target.size());
    for (size_t k = 0; k < target.size(); ++k) {
      EXPECT_NEAR(answers[i].nats[k], -shares[k], kScoreTolerance);
    }
    EXPECT_EQ(answers[i].scores.size(0), static_cast<int64_t>(target.size()));
    total -= Sum(shares);
    EXPECT_EQ(answers[i].all_likeliest, answers[i].likeliest == target);
    right += answers[i].all_likeliest;
  }
  EXPECT_EQ(prepared->RightSequences()[0].target.size(), 3u);
  EXPECT_EQ(answers[1].all_likeliest, likeliest >= 3);
  EXPECT_DOUBLE_EQ(tiny.Figure("accuracy", answers).value, right / 2);
  // Per answer, not per token.
  const double perplexity = tiny.Figure("perplexity", answers).value;
  EXPECT_NEAR(perplexity / std::exp(total / 2), 1, kScoreTolerance);
}
INSTANTIATE_TEST_SUITE_P(Models, Completion, testing::Values("gpt2-relu-ninner", "t5-relu-tied"));

TEST(Completion, NeedsAnAnswerThatTheModelCanRead) {
  Tiny tiny = Completions("gpt2-relu-ninner");
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const auto refuse = [&](const std::string& answer, std::string_view fragment) {
    tiny.dataset.examples[1].answers = {answer};
    tests::ExpectError(ErrorKind::kInput, {"task 'sums', example 1", fragment}, [&] {
      PrepareTask(tiny.spec, tiny.dataset, tiny.config(), tokenizer, tiny.generation);
    });
  };
  refuse(" ", "has no tokens");
  std::string long_answer;
  for (int i = 0; i < 65; ++i) long_answer += "two ";
  refuse(long_answer, "64 positions");
}

}  // namespace
}  // namespace moefy::ask
