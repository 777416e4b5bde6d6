// A model with what it takes to ask it, and the loop over batches of inputs.
#pragma once

#include <cstdint>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/eval/batches.h"
#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"
#include "pipeline/run_inputs.h"

namespace moefy::pipeline {

struct Asked {
  model::Transformer& model;
  const text::Tokenizer& tokenizer;
  const std::vector<RunInput>& inputs;
  Progress& progress;

  const model::ModelConfig& config() const { return model.config(); }
  // Encoders cut what is longer than their positions; 0: there is no such limit.
  int64_t MaxTokens() const {
    return config().max_positions > 0 ? config().max_positions - config().position_offset : 0;
  }
};

// Runs all encodings in batches; `use` gets the batch, its outputs and the row of each input.
template <typename Use>
void ForEachOutput(const Asked& asked, const std::vector<text::Encoding>& encodings,
                   const Use& use) {
  for (const eval::Batch& batch :
       eval::MakeBatches(encodings, asked.config(), asked.tokenizer.pad_id())) {
    const model::ForwardOutputs outputs = asked.model.Forward(batch.inputs);
    for (size_t row = 0; row < batch.example_idxs.size(); ++row) {
      use(outputs, static_cast<int64_t>(row), static_cast<size_t>(batch.example_idxs[row]));
    }
    asked.progress.Advance(batch.example_idxs.size());
  }
}

}  // namespace moefy::pipeline
