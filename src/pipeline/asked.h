// What it takes to ask a model about inputs, and the loop over batches of them. Thread-safety: as
// the model's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ask/batches.h"
#include "model/input_check.h"
#include "moefy/base/progress.h"
#include "moefy/base/strings.h"
#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"
#include "pipeline/ordered_answers.h"
#include "pipeline/run_inputs.h"

namespace moefy::pipeline {

// Inputs of which the model reads the beginning only. One warning tells of them all.
class CutInputs {
 public:
  void Add(const std::string& where, size_t num_tokens, int64_t num_read) {
    if (count_++ == 0) {
      first_ = StrCat(where, ": has ", num_tokens, " tokens; the model reads the first ", num_read);
    }
  }
  // "reviews.txt: line 3: has 700 tokens; the model reads the first 512 (4 inputs are cut)". "" if
  // none was cut.
  std::string Warning() const {
    return count_ < 2 ? first_ : StrCat(first_, " (", count_, " inputs are cut)");
  }

 private:
  std::string first_;
  int64_t count_ = 0;
};

struct Asked {
  model::Transformer& model;
  const text::Tokenizer& tokenizer;
  const std::vector<RunInput>& inputs;
  OrderedAnswers& answers;
  Progress& progress;
  CutInputs& cut;

  const model::ModelConfig& config() const { return model.config(); }
  // Encoders cut inputs that have more tokens. 0: there is no limit.
  int64_t MaxTokens() const { return model::TextLength(config()); }
};

// The encodings of the inputs that can be encoded and run, and which inputs these are.
struct Encoded {
  std::vector<text::Encoding> encodings;
  std::vector<size_t> input_idxs;
};

// Encodes every input by `encode(input, max_tokens)`, which cuts at `max_tokens`; 0: nothing is
// cut. An input that cannot be encoded costs itself alone. Error{kInput} if none can.
template <typename Encode>
Encoded EncodeAll(const Asked& asked, int64_t max_tokens, const Encode& encode) {
  Encoded out;
  for (size_t i = 0; i < asked.inputs.size(); ++i) {
    if (asked.answers.failed(i)) continue;
    asked.answers.Try(i, [&] {
      text::Encoding encoding = encode(asked.inputs[i], max_tokens);
      const size_t num_tokens = encoding.ids.size();
      model::CheckTokens(encoding.ids, asked.config());
      if (max_tokens > 0 && num_tokens >= static_cast<size_t>(max_tokens)) {
        const size_t num_whole = encode(asked.inputs[i], 0).ids.size();
        if (num_whole > num_tokens) asked.cut.Add(asked.inputs[i].where, num_whole, max_tokens);
      }
      out.encodings.push_back(std::move(encoding));
      out.input_idxs.push_back(i);
    });
  }
  asked.answers.RequireAny();
  return out;
}

// Runs all encodings in batches by `run`, which turns a batch's inputs into outputs of any kind.
// `answer` gets the outputs, an input's row of them and the index of its encoding, and returns the
// answer that is given.
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

// Runs the whole model, head included, and hands each input's output to `answer`.
template <typename Answer>
void ForEachOutput(const Asked& asked, const Encoded& encoded, const Answer& answer) {
  ForEachRun(
      asked, encoded,
      [&](const model::ForwardInputs& inputs) { return asked.model.Forward(inputs); }, answer);
}

}  // namespace moefy::pipeline
