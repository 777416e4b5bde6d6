// Pseudo-perplexity, against one run of the model per hidden token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ask/metric.h"
#include "ask/prepared_task.h"
#include "moefy/base/strings.h"
#include "support/expect_error.h"
#include "support/random_model.h"

namespace moefy::ask {
namespace {

using Ids = std::vector<int64_t>;
using tests::ExpectError;

constexpr int64_t kMask = 4, kBegin = 2, kEnd = 3;

// A word "7" is token 7.
class Numbers final : public text::Tokenizer {
 public:
  text::Encoding Encode(std::string_view text, const text::EncodeOptions& options) const override {
    Ids ids;
    if (options.add_special_tokens) ids.push_back(kBegin);
    for (const std::string& word : Split(std::string(text), ' ')) {
      ids.push_back(word == "a" ? 5 : std::stoll(word));
    }
    if (options.add_special_tokens) ids.push_back(kEnd);
    return {ids, Ids(ids.size(), 0)};
  }
  text::Encoding EncodePair(std::string_view first, std::string_view,
                            const text::EncodeOptions& options) const override {
    return Encode(first, options);
  }
  std::string Decode(const Ids&, bool) const override { return ""; }
  int64_t vocab_size() const override { return 97; }
  int64_t pad_id() const override { return 0; }
  std::optional<int64_t> eos_id() const override { return std::nullopt; }
  std::optional<int64_t> mask_id() const override { return kMask; }
};

struct Asked {
  Json config = tests::SmallEncoder("bert", "BertForMaskedLM");
  model::Transformer model{model::ParseModelConfig(config, "c"), tests::RandomParameters(config)};
  Numbers tokenizer;
  task::TaskSpec spec;
  task::Dataset dataset;
  model::GenerationOptions generation;

  explicit Asked(const std::vector<std::string>& texts) {
    spec.name = "numbers";
    spec.kind = task::TaskKind::kMaskedLanguageModelling;
    spec.metric = "pseudo_perplexity";
    for (const std::string& text : texts) dataset.examples.push_back({.fields = {{"text", text}}});
  }
  std::vector<Answer> Ask() {
    return PrepareTask(spec, dataset, model.config(), tokenizer, generation)
        ->Ask(model, SilentProgress());
  }
  // log p of the token at `place` of `ids` when those at `hidden` are masks. [vocab]
  at::Tensor LogShares(Ids ids, int64_t place, const std::vector<int64_t>& hidden) {
    const at::NoGradGuard no_grad;
    for (const int64_t at : hidden) ids[static_cast<size_t>(at)] = kMask;
    model::ForwardInputs inputs;
    inputs.input_ids = at::tensor(ids, at::kLong).unsqueeze(0);
    return at::log_softmax(model.Forward(inputs).logits[0][place].to(at::kDouble), 0);
  }
};

TEST(MaskedTask, HidesOneTokenAtATime) {
  Asked asked({"11 12 13 14 15", "20 21"});
  const std::vector<Answer> answers = asked.Ask();
  const Ids ids = {kBegin, 11, 12, 13, 14, 15, kEnd};
  ASSERT_EQ(answers[0].nats.size(), 5u);
  double nats = 0, right = 0;
  for (int64_t i = 1; i <= 5; ++i) {
    const at::Tensor shares = asked.LogShares(ids, i, {i});
    const auto at = static_cast<size_t>(i - 1);
    EXPECT_NEAR(answers[0].nats[at], -shares[ids[static_cast<size_t>(i)]].item<double>(), 1e-4);
    EXPECT_EQ(answers[0].likeliest[at], shares.argmax().item<int64_t>());
    EXPECT_EQ(answers[0].targets[at], ids[static_cast<size_t>(i)]);
  }
  for (const Answer& answer : answers) {
    for (size_t i = 0; i < answer.nats.size(); ++i) {
      nats += answer.nats[i];
      right += answer.likeliest[i] == answer.targets[i];
    }
  }
  const auto figure = [&](const char* name) {
    return task::ToEstimate(
               Measure(GetMetric(asked.spec.kind, name), asked.dataset.examples, answers))
        .value;
  };
  EXPECT_NEAR(figure("pseudo_perplexity"), std::exp(nats / 7), 1e-6 * std::exp(nats / 7));
  EXPECT_NEAR(figure("accuracy"), right / 7, 1e-9);
}

TEST(MaskedTask, HidesEveryNthTogether) {
  Asked asked({"11 12 13 14 15"});
  asked.spec.mask_every = 2;
  const std::vector<Answer> answers = asked.Ask();
  const Ids ids = {kBegin, 11, 12, 13, 14, 15, kEnd};
  for (int64_t i = 1; i <= 5; ++i) {
    const std::vector<int64_t> hidden =
        i % 2 == 1 ? std::vector<int64_t>{1, 3, 5} : std::vector<int64_t>{2, 4};
    const at::Tensor shares = asked.LogShares(ids, i, hidden);
    EXPECT_NEAR(answers[0].nats[static_cast<size_t>(i - 1)],
                -shares[ids[static_cast<size_t>(i)]].item<double>(), 1e-4);
  }
}

TEST(MaskedTask, LongTextsAreWindowsWithTokensOfTheirOwnAround) {
  Asked asked({"11 12 13 14 15"});
  asked.spec.max_tokens = 5;  // of which three are the text's
  const std::vector<Answer> answers = asked.Ask();
  ASSERT_EQ(answers[0].nats.size(), 5u);
  const at::Tensor shares = asked.LogShares({kBegin, 14, 15, kEnd}, 1, {1});
  EXPECT_NEAR(answers[0].nats[3], -shares[14].item<double>(), 1e-4);
  asked.dataset.max_windows = 1;
  EXPECT_EQ(asked.Ask()[0].nats.size(), 3u);
}

TEST(MaskedTask, WhatFillsNoMasksIsRefusedAndWhatDoesAnswersNothingElse) {
  Asked asked({"11 12"});
  EXPECT_NO_THROW(asked.Ask());
  asked.spec.kind = task::TaskKind::kLanguageModelling;
  ExpectError(ErrorKind::kInput, {"masked language model", "language modelling"},
              [&] { asked.Ask(); });
}

}  // namespace
}  // namespace moefy::ask
