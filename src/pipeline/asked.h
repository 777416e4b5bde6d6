// A model with what it takes to ask it, and the loop over batches of inputs.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ask/batches.h"
#include "model/input_check.h"
#include "moefy/base/progress.h"
#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"
#include "pipeline/ordered_answers.h"
#include "pipeline/run_inputs.h"

namespace moefy::pipeline {

struct Asked {
  model::Transformer& model;
  const text::Tokenizer& tokenizer;
  const std::vector<RunInput>& inputs;
  OrderedAnswers& answers;
  Progress& progress;

  const model::ModelConfig& config() const { return model.config(); }
  // Encoders cut what is longer; 0: nothing is.
  int64_t MaxTokens() const { return model::TextLength(config()); }
};

// Encodings of the inputs that can be encoded and run, and which these are.
struct Encoded {
  std::vector<text::Encoding> encodings;
  std::vector<size_t> input_idxs;
};

// By `encode(input)`. An input that cannot be encoded costs itself alone; Error{kInput} if none
// can.
template <typename Encode>
Encoded EncodeAll(const Asked& asked, const Encode& encode) {
  Encoded out;
  for (size_t i = 0; i < asked.inputs.size(); ++i) {
    if (asked.answers.failed(i)) continue;
    asked.answers.Try(i, [&] {
      text::Encoding encoding = encode(asked.inputs[i]);
      model::CheckTokens(encoding.ids, asked.config());
      out.encodings.push_back(std::move(encoding));
      out.input_idxs.push_back(i);
    });
  }
  asked.answers.RequireAny();
  return out;
}

// Runs all encodings in batches by `run`, from a batch's inputs to outputs of any kind; `answer`
// gets the outputs, an input's row of them and the index of its encoding, and returns what goes
// out.
template <typename Run, typename Answer>
void ForEachRun(const Asked& asked, const Encoded& encoded, const Run& run, const Answer& answer) {
  for (const ask::Batch& batch :
       ask::MakeBatches(encoded.encodings, asked.config(), asked.tokenizer.pad_id())) {
    const auto outputs = run(batch.inputs);
    for (size_t row = 0; row < batch.example_idxs.size(); ++row) {
      const auto idx = static_cast<size_t>(batch.example_idxs[row]);
      const size_t input_idx = encoded.input_idxs[idx];
      asked.answers.Try(input_idx, [&] {
        asked.answers.Give(input_idx, answer(outputs, static_cast<int64_t>(row), idx));
      });
    }
    asked.progress.Advance(batch.example_idxs.size());
  }
}

// The same by the whole model, its head included.
template <typename Answer>
void ForEachOutput(const Asked& asked, const Encoded& encoded, const Answer& answer) {
  ForEachRun(
      asked, encoded,
      [&](const model::ForwardInputs& inputs) { return asked.model.Forward(inputs); }, answer);
}

}  // namespace moefy::pipeline
