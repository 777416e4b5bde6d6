// What the ways of answering a task have in common: what they are made of, prompts as tokens, and
// the loop over batches with targets.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ask/prepared_task.h"

namespace moefy::ask {

// Scores that are kept of a whole task to compare models by: 256 MB.
inline constexpr int64_t kMaxKeptScores = int64_t{1} << 26;

struct TaskInputs {
  const task::TaskSpec& spec;
  const task::Dataset& dataset;
  model::ModelConfig config;  // the model's, beginning as the target language wants
  const text::Tokenizer& tokenizer;
  const model::GenerationOptions& generation;

  bool causal() const { return config.architecture == model::Architecture::kDecoder; }
  int64_t MaxTokens() const { return ask::MaxTokens(spec, config); }
};

// The tables' rows, one file each.
std::unique_ptr<PreparedTask> PrepareLabels(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PrepareCandidates(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PrepareGeneration(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PrepareSpans(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PrepareCompletion(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PrepareLanguageModelling(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PrepareMasked(const TaskInputs& inputs);

// "task 'sst2', example 3", for messages.
std::string ExampleName(const task::TaskSpec& spec, size_t example_idx);

// Value of a label, or letter of a choice.
std::string LabelName(const task::TaskSpec& spec, int64_t label_idx);
// The label with the largest of the scores [labels].
Answer AnswerByScores(const task::TaskSpec& spec, const at::Tensor& scores);

// A prompt and texts that may follow it.
struct Continued {
  text::Encoding prompt;
  std::vector<std::vector<int64_t>> targets;  // one per text
};

// An encoder reads the prompt from its beginning, and the text is the decoder's. A causal model
// reads the end of the prompt, if it is too long, and the text follows after a space; its tokens
// are those that the text adds to the prompt's (as in lm-evaluation-harness). `end`: the text is
// all there is to say, so an end token follows. Error{kInput} for what the model cannot read
// (model/input_check.h).
Continued Continue(const TaskInputs& inputs, const task::Example& example,
                   const std::vector<std::string>& texts, bool end);

// Drops tokens from the front, after a beginning token if the tokenizer puts one there.
void CutFront(std::vector<int64_t>& ids, size_t num_kept, const text::Tokenizer& tokenizer);

// Batches of sequences for ForEachTarget.
std::vector<Batch> MakeScoredBatches(const TaskInputs& inputs,
                                     const std::vector<Sequence>& sequences);

// Runs the batches; `use` gets every sequence's index, the logits that should give its targets
// [targets, vocab] and these targets [targets]: in their order, and in several parts where logits
// would take too much memory at once.
using TargetSink =
    std::function<void(size_t sequence_idx, const at::Tensor& logits, const at::Tensor& targets)>;
void ForEachTarget(model::Transformer& model, const std::vector<Batch>& batches,
                   const TargetSink& use, Progress& progress);

}  // namespace moefy::ask
