// Answers by span heads, against every span of every window, one plain run of the model each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "support/expect_error.h"
#include "support/tiny_tasks.h"

namespace moefy::ask {
namespace {

// Scores of all spans of all windows by their text, and of "no answer".
struct AllSpans {
  std::map<std::string, double> scores;
  double none = 1e9;
};

// `room` tokens of context a window, `stride` from one to the next. Every word is one token.
AllSpans RunAll(Tiny& tiny, size_t example_idx, size_t room, size_t stride) {
  const at::NoGradGuard no_grad;
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const task::Example& example = tiny.dataset.examples[example_idx];
  const std::vector<std::string> words = Split(example.fields.at("context"), ' ');
  AllSpans all;
  for (size_t begin = 0;; begin += stride) {
    const size_t end = std::min(words.size(), begin + room);
    const std::vector<std::string> window(words.begin() + static_cast<long>(begin),
                                          words.begin() + static_cast<long>(end));
    const text::Encoding pair =
        tokenizer.EncodePair(example.fields.at("question"), Join(window, " "), {});
    model::ForwardInputs inputs;
    inputs.input_ids = at::tensor(pair.ids, at::kLong).unsqueeze(0);
    inputs.token_type_ids = at::tensor(pair.token_type_ids, at::kLong).unsqueeze(0);
    const model::ForwardOutputs outputs = tiny.model.Forward(inputs);
    const auto score = [&](const at::Tensor& logits, size_t column) {
      return logits[0][static_cast<int64_t>(column)].item<double>();
    };
    // [question, 1, window, 1]
    const size_t first = pair.ids.size() - 1 - window.size();
    for (size_t i = 0; i < window.size(); ++i) {
      for (size_t k = i; k < window.size(); ++k) {
        const std::vector<std::string> span(window.begin() + static_cast<long>(i),
                                            window.begin() + static_cast<long>(k) + 1);
        const double sum =
            score(outputs.start_logits, first + i) + score(outputs.end_logits, first + k);
        const auto [found, added] = all.scores.try_emplace(Join(span, " "), sum);
        if (!added) found->second = std::max(found->second, sum);
      }
    }
    all.none = std::min(all.none, score(outputs.start_logits, 0) + score(outputs.end_logits, 0));
    if (end == words.size()) return all;
  }
}

// The best spans in order, and their shares of the best twenty.
void ExpectBest(const Answer& answer, std::vector<std::pair<std::string, double>> wanted) {
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  EXPECT_EQ(answer.text, wanted.front().first);
  double total = 0;
  for (const auto& [text, score] : wanted) total += std::exp(score);
  ASSERT_EQ(answer.best.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_NEAR(answer.best[i].second, std::exp(wanted[i].second) / total, 1e-4) << i;
  }
}

// The twenty best.
std::vector<std::pair<std::string, double>> Twenty(const AllSpans& all) {
  std::vector<std::pair<std::string, double>> best(all.scores.begin(), all.scores.end());
  std::stable_sort(best.begin(), best.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  best.resize(std::min<size_t>(best.size(), 20));
  return best;
}

TEST(SpanTask, TheBestSpanOfAllWindows) {
  Tiny tiny("bert-qa-gelu", "squad");
  // "How long is it?" and two special tokens leave room for 5 of the context's 10 words.
  tiny.spec.max_tokens = 11;
  tiny.spec.stride = 3;
  const Answer answer = tiny.Ask()[0];
  ExpectBest(answer, Twenty(RunAll(tiny, 0, 5, 3)));
}

TEST(SpanTask, OneWindowWhereTheContextFits) {
  Tiny tiny("bert-qa-gelu", "squad");
  const std::vector<Answer> answers = tiny.Ask();
  ASSERT_EQ(answers.size(), 2u);
  for (size_t i = 0; i < 2; ++i) ExpectBest(answers[i], Twenty(RunAll(tiny, i, 10, 10)));
}

TEST(SpanTask, NoAnswerCompetesIfTheTaskSaysSo) {
  Tiny tiny("bert-qa-gelu", "squad");
  tiny.spec.no_answer = true;
  tiny.spec.max_tokens = 11;
  const AllSpans all = RunAll(tiny, 0, 5, 5);
  std::vector<std::pair<std::string, double>> wanted = Twenty(all);
  wanted.emplace_back("", all.none);
  ExpectBest(tiny.Ask()[0], wanted);
}

// The answer's first and last column in windows that hold all of it, the first column in others.
TEST(SpanTask, RightSequencesPointAtTheAnswer) {
  Tiny tiny("bert-qa-gelu", "squad");
  tiny.spec.max_tokens = 11;  // 5 words of context
  tiny.spec.stride = 3;
  const tests::WordTokenizer tokenizer = tiny.Tokenizer();
  const std::vector<Sequence> sequences =
      PrepareTask(tiny.spec, tiny.dataset, tiny.config(), tokenizer, tiny.generation)
          ->RightSequences();
  // The words of the first accepted one, "12 miles", in the context.
  const Ids answer = tokenizer.Encode("12 miles.", {.add_special_tokens = false}).ids;
  size_t num_found = 0;
  for (const Sequence& sequence : sequences) {
    ASSERT_EQ(sequence.target.size(), 2u);
    const int64_t first = sequence.target[0], last = sequence.target[1];
    if (first == 0) {
      EXPECT_EQ(last, 0);
      continue;
    }
    ++num_found;
    const Ids words(sequence.input.ids.begin() + first, sequence.input.ids.begin() + last + 1);
    if (num_found == 1) {
      EXPECT_EQ(words, answer);
    }
  }
  EXPECT_GE(num_found, 1u);
  EXPECT_LT(num_found, sequences.size());
}

TEST(SpanTask, AQuestionThatFillsTheWindowIsRefused) {
  Tiny tiny("bert-qa-gelu", "squad");
  tiny.spec.max_tokens = 6;
  tests::ExpectError(ErrorKind::kInput, {"'rivers'", "example 0", "6 tokens", "no room"},
                     [&] { tiny.Ask(); });
  tiny.spec.max_tokens = 384;
  tiny.spec.inputs = {"question"};
  tests::ExpectError(ErrorKind::kInput, {"has 1 inputs", "the question and the context"},
                     [&] { tiny.Ask(); });
}

}  // namespace
}  // namespace moefy::ask
