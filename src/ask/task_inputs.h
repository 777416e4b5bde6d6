// The ways of answering a task, which are the rows of the table in prepared_task.cpp, and what they
// have in common: what they are made of, prompts and words as tokens, and the loop over batches
// with targets. Thread-safety: as PreparedTask.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ask/prepared_task.h"

namespace moefy::ask {

// How many scores of a whole task are kept to compare models by: 256 MB.
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

// Each is a row of the table in prepared_task.cpp, which alone decides that a row suits task and
// model, and lies in a file of its own, <name>_task.cpp.
// `label_ids`: for a text-to-text model the first token of each label's word, none like another;
// for a classification head nothing.
std::unique_ptr<PreparedTask> PrepareLabels(const TaskInputs& inputs,
                                            std::vector<int64_t> label_ids);
std::unique_ptr<PreparedTask> PrepareCandidates(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PrepareGeneration(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PrepareSpans(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PrepareCompletion(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PreparePerplexity(const TaskInputs& inputs);
std::unique_ptr<PreparedTask> PrepareMasked(const TaskInputs& inputs);

// "task 'sst2', example 3": where a mistake is, for messages.
std::string ExampleName(const task::TaskSpec& spec, size_t example_idx);

// The value of a label, or the letter of a choice.
std::string LabelName(const task::TaskSpec& spec, int64_t label_idx);
// Why a word of the task that was encoded as `ids` is none that the model can say: "the word 'ok'
// is not in the model's vocabulary (it reads 'o')". "": it can.
std::string WordProblem(const TaskInputs& inputs, const std::string& word,
                        const std::vector<int64_t>& ids);
// Answers with the label that has the largest of the scores [labels].
Answer AnswerByScores(const task::TaskSpec& spec, const at::Tensor& scores);

// A prompt and texts that may follow it.
struct Continued {
  text::Encoding prompt;
  std::vector<std::vector<int64_t>> targets;  // one per text
};

// The prompt of an example as tokens, and each of `texts` as what a model would say after it. An
// encoder reads the prompt from its beginning, and the decoder says the text. A causal model reads
// the end of a prompt that is too long, and the text follows after a space; its tokens are those
// that it adds to the prompt's (as in lm-evaluation-harness). With `end`, the text is all there is
// to say, so an end token follows. Throws Error{kInput} for what the model cannot read
// (model/input_check.h).
Continued Continue(const TaskInputs& inputs, const task::Example& example,
                   const std::vector<std::string>& texts, bool end);

// Drops tokens from the front until `num_kept` are left. If the tokenizer puts a beginning token
// there, it stays.
void CutFront(std::vector<int64_t>& ids, size_t num_kept, const text::Tokenizer& tokenizer);

// Groups sequences into batches for ForEachTarget.
std::vector<Batch> MakeScoredBatches(const TaskInputs& inputs,
                                     const std::vector<Sequence>& sequences);

// Runs the batches. `use` gets every sequence's index, the logits that should give its targets
// [targets, vocab] and these targets [targets]: in their order, and in several parts if the logits
// would take too much memory at once.
using TargetSink =
    std::function<void(size_t sequence_idx, const at::Tensor& logits, const at::Tensor& targets)>;
void ForEachTarget(model::Transformer& model, const std::vector<Batch>& batches,
                   const TargetSink& use, Progress& progress);

}  // namespace moefy::ask
