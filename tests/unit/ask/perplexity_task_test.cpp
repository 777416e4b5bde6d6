// Perplexity, against one run of the model per token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"
#include "support/tiny_tasks.h"

namespace moefy::ask {
namespace {

void ExpectNats(const Answer& answer, const std::vector<double>& wanted) {
  ASSERT_EQ(answer.nats.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(answer.nats[i], -wanted[i], kScoreTolerance) << i;
  }
}

TEST(PerplexityTask, EveryTokenButTheFirstIsPredicted) {
  Tiny tiny("gpt2-relu-ninner", "tales");
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const std::vector<Answer> answers = tiny.Ask();
  ASSERT_EQ(answers.size(), 2u);
  double nats = 0, tokens = 0;
  for (size_t i = 0; i < 2; ++i) {
    const Ids ids = tokenizer.Encode(tiny.dataset.examples[i].fields.at("text"), {}).ids;
    const std::vector<double> wanted = tiny.LogShares({ids[0]}, {ids.begin() + 1, ids.end()});
    ExpectNats(answers[i], wanted);
    nats -= Sum(wanted);
    tokens += static_cast<double>(wanted.size());
    // The likeliest after the first token, and its whole distribution.
    const at::Tensor next = tiny.NextLogShares({}, {ids[0]});
    EXPECT_EQ(answers[i].likeliest[0], next.argmax().item<int64_t>());
    const at::Tensor got = at::log_softmax(answers[i].scores[0].to(at::kDouble), 0);
    EXPECT_LT((got - next).abs().max().item<double>(), kScoreTolerance);
  }
  EXPECT_NEAR(tiny.Figure("nats_per_token", answers).value, nats / tokens, kScoreTolerance);
  EXPECT_NEAR(tiny.Figure("perplexity", answers).value, std::exp(nats / tokens),
              kScoreTolerance * std::exp(nats / tokens));
  EXPECT_EQ(tiny.Figure("perplexity", answers).count, static_cast<int64_t>(tokens));
}

TEST(PerplexityTask, ALimitEndsTheWindowsOfAllTexts) {
  Tiny tiny("gpt2-relu-ninner", "tales");
  tiny.dataset.examples[0].fields["text"] = "Once a fox sat. Once a hen";
  tiny.spec.max_tokens = 4;
  const Ids ids = tiny.Tokenizer().Encode("Once a fox sat. Once a hen", {}).ids;
  const std::vector<Answer> all = tiny.Ask();
  EXPECT_EQ(all[0].nats.size(), 7u);
  EXPECT_FALSE(all[1].nats.empty());
  tiny.dataset.max_windows = 2;  // tokens 1 to 3, and 4 to 6
  const std::vector<Answer> some = tiny.Ask();
  std::vector<double> wanted = tiny.LogShares({ids[0]}, {ids[1], ids[2], ids[3]});
  const std::vector<double> second = tiny.LogShares({ids[3]}, {ids[4], ids[5], ids[6]});
  wanted.insert(wanted.end(), second.begin(), second.end());
  ExpectNats(some[0], wanted);
  EXPECT_TRUE(some[1].nats.empty());
}

TEST(PerplexityTask, WindowsMoveOnByTheStride) {
  Tiny tiny("gpt2-relu-ninner", "tales");
  tiny.dataset.examples[0].fields["text"] = "Once a fox sat. Once a hen";
  tiny.spec.max_tokens = 4;
  tiny.spec.stride = 2;
  const Ids ids = tiny.Tokenizer().Encode("Once a fox sat. Once a hen", {}).ids;
  ASSERT_EQ(ids.size(), 8u);
  // Windows 0-3, 2-5, 4-7: each token in the first window that has it, and not first there.
  std::vector<double> wanted = tiny.LogShares({ids[0]}, {ids[1], ids[2], ids[3]});
  for (const size_t begin : {2u, 4u}) {
    const std::vector<double> window =
        tiny.LogShares({ids[begin], ids[begin + 1]}, {ids[begin + 2], ids[begin + 3]});
    wanted.insert(wanted.end(), window.begin(), window.end());
  }
  ExpectNats(tiny.Ask()[0], wanted);
}

TEST(PerplexityTask, WithoutAStrideWindowsShareOneToken) {
  Tiny tiny("gpt2-relu-ninner", "tales");
  tiny.dataset.examples[0].fields["text"] = "Once a fox sat.";
  tiny.spec.max_tokens = 4;
  const Ids ids = tiny.Tokenizer().Encode("Once a fox sat.", {}).ids;
  ASSERT_EQ(ids.size(), 5u);
  std::vector<double> wanted = tiny.LogShares({ids[0]}, {ids[1], ids[2], ids[3]});
  wanted.push_back(tiny.LogShares({ids[3]}, {ids[4]})[0]);
  ExpectNats(tiny.Ask()[0], wanted);
}

TEST(PerplexityTask, WhatDoesNotPredictTextIsRefused) {
  Tiny seq2seq("t5-relu-tied", "tales");
  tests::ExpectError(ErrorKind::kInput, {"'tales'", "only decoder-only models", "t5"},
                     [&] { seq2seq.Ask(); });
  Tiny classifier("bert-cls-relu", "tales");
  tests::ExpectError(ErrorKind::kInput, {"cannot answer the language modelling task"},
                     [&] { classifier.Ask(); });
  Tiny empty("gpt2-relu-ninner", "tales");
  for (task::Example& example : empty.dataset.examples) example.fields["text"] = "";
  tests::ExpectError(ErrorKind::kInput, {"no text has two tokens"}, [&] { empty.Ask(); });
}

}  // namespace
}  // namespace moefy::ask
