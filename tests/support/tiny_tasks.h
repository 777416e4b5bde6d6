// The tiny data sets of tests/data/tasks with a vocabulary of their words, pico models to ask, and
// a plain way to run these: one sequence at a time, nothing padded, nothing shared with eval.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "ask/metric.h"
#include "ask/prepared_task.h"
#include "model/open_checkpoint.h"
#include "support/split_fixtures.h"
#include "support/word_tokenizer.h"

namespace moefy::ask {

using Ids = std::vector<int64_t>;

inline constexpr text::EncodeOptions kPlain{.add_special_tokens = false};

// A pico model and a tiny task; the spec may be changed before anything is asked.
struct Tiny {
  explicit Tiny(const std::string& pico, const std::string& task)
      : model(model::LoadTransformer(model::OpenCheckpoint(tests::Pico(pico)))),
        spec(task::ReadTaskSpec(tests::TestData() / "tasks" / (task + ".json"))),
        dataset(task::ReadDataset(spec, "eval", spec.directory)) {
    generation.eos_ids = {1};
  }

  const model::ModelConfig& config() const { return model.config(); }
  bool causal() const { return config().architecture == model::Architecture::kDecoder; }

  // Every word of the data and of labels is a token; the rest of the vocabulary has made-up ones.
  tests::WordTokenizer Tokenizer() const {
    std::vector<std::string> words;
    const auto add = [&](const std::string& text) {
      for (const std::string& word : Split(text, ' ')) {
        if (!word.empty() && std::find(words.begin(), words.end(), word) == words.end()) {
          words.push_back(word);
        }
      }
    };
    for (const char* letter : {"A", "B", "C", "D"}) add(letter);
    for (const task::Label& label : spec.labels) add(label.word);
    for (const task::Example& example : dataset.examples) {
      for (const auto& [field, text] : example.fields) add(text);
      for (const std::string& text : example.choices) add(text);
      for (const std::string& text : example.answers) add(text);
      if (!spec.prompt.empty()) add(task::FormatPrompt(spec, example));
    }
    const auto room = static_cast<size_t>(std::min(config().vocab_size, config().input_vocab_size));
    while (words.size() + 3 < room) words.push_back("w" + std::to_string(words.size()));
    EXPECT_EQ(words.size() + 3, room) << "the pico model's vocabulary is too small";
    return tests::WordTokenizer(words,
                                causal() ? tests::SpecialPlace::kBegin : tests::SpecialPlace::kEnd);
  }

  std::vector<Answer> Ask() {
    const tests::WordTokenizer tokenizer = Tokenizer();
    return PrepareTask(spec, dataset, config(), tokenizer, generation)
        ->Ask(model, SilentProgress());
  }

  task::Estimate Figure(const std::string& name, const std::vector<Answer>& answers) const {
    return task::ToEstimate(Measure(GetMetric(spec.kind, name), dataset.examples, answers));
  }

  // log p of the next token after `decoder`, given `source` where there is an encoder. [vocab]
  at::Tensor NextLogShares(const Ids& source, const Ids& decoder) {
    const at::NoGradGuard no_grad;
    model::ForwardInputs inputs;
    inputs.input_ids = at::tensor(causal() ? decoder : source, at::kLong).unsqueeze(0);
    if (!causal()) inputs.decoder_input_ids = at::tensor(decoder, at::kLong).unsqueeze(0);
    const at::Tensor logits = model.Forward(inputs).logits[0];
    return at::log_softmax(logits[logits.size(0) - 1].to(at::kDouble), 0);
  }

  // log p of each of `target`, one run of the model a token.
  std::vector<double> LogShares(const Ids& prompt, const Ids& target) {
    Ids decoder = causal() ? prompt : Ids{config().decoder_start_id};
    std::vector<double> out;
    for (const int64_t id : target) {
      out.push_back(NextLogShares(prompt, decoder)[id].item<double>());
      decoder.push_back(id);
    }
    return out;
  }

  model::Transformer model;
  task::TaskSpec spec;
  task::Dataset dataset;
  model::GenerationOptions generation;
};

inline double Sum(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

// F32 logits of pico models, summed in another order.
constexpr double kScoreTolerance = 2e-4;

}  // namespace moefy::ask
