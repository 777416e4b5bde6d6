// How many tokens a task or a text gives a model to run, told by a sample of its examples.
// Thread-safety: one call at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "ask/tokenizers.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"
#include "moefy/pipeline/record_stage.h"

namespace moefy::pipeline {

// What a task or a text gives a model to run.
struct TokenCount {
  double inputs = 0;     // of an encoder, or in front of what a decoder says
  double targets = 0;    // what a model says
  double generated = 0;  // of these, so many one by one
  double examples = 0;
  double longest = 0;  // the mean length of a text

  double all() const { return inputs + targets; }
  TokenCount& operator+=(const TokenCount& other) {
    inputs += other.inputs;
    targets += other.targets;
    generated += other.generated;
    examples += other.examples;
    longest = std::max(longest, other.longest);
    return *this;
  }
  TokenCount AtMost(double tokens) const {
    const double share = all() > tokens ? tokens / all() : 1;
    return {share * inputs, share * targets, share * generated, share * examples, longest};
  }
};

class TokenCounter {
 public:
  // All of them outlive the counter. `data`: the tasks' directory, as Recipe has it.
  TokenCounter(const io::Checkpoint& model, const model::ModelConfig& config,
               const std::string& data)
      : model_(model), config_(config), data_(data), tokenizers_(model) {}

  // A limit is of examples; of texts that are evaluated or trained on, of windows. Throws as the
  // readers of tasks and tokenizers do.
  TokenCount OfTasks(const std::vector<std::string>& files, const std::string& split, int64_t limit,
                     bool of_windows);
  // Of RecordOptions::text.
  TokenCount OfText(const RecordOptions& options);

 private:
  const io::Checkpoint& model_;
  const model::ModelConfig& config_;
  const std::string& data_;
  ask::Tokenizers tokenizers_;
};

}  // namespace moefy::pipeline
