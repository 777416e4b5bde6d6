// Turns the examples of a task, or lines of text, into batches for a model, and a model's outputs
// into one score per label. The only place where text, tasks and models meet.
// Thread-safety: const objects may be shared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"
#include "task/dataset.h"
#include "task/task_spec.h"

namespace moefy::ask {

// What a model reads, and what it is to say after it. Nothing but the last token of `target` is
// there that the model does not get to read (teacher forcing).
struct Sequence {
  text::Encoding input;  // an encoder's, or the beginning of what a decoder goes on with
  // The tokens a model that generates is to say; of a classification head the class, of a question
  // answering head the columns of the answer's first and last token. Empty: nothing is asked.
  std::vector<int64_t> target;
};

inline constexpr int64_t kNoTarget = -100;  // what LibTorch's losses leave out

struct Batch {
  model::ForwardInputs inputs;
  std::vector<int64_t> example_idxs;  // into what was batched, one per row
  // Of models that generate: which token each column of the logits should give, or kNoTarget. Of
  // other heads: each row's target, undefined where there is none.
  at::Tensor targets;  // [batch, columns] I64
};

// Padded tokens per batch: enough to keep the GEMMs busy, small enough for the caches.
inline constexpr int64_t kDefaultBatchTokens = 4096;

// Sequences sorted by length and grouped so that rows times the longest stays within
// `batch_tokens` (one always fits). Padding is on the right; for causal models on the left.
std::vector<Batch> MakeBatches(const std::vector<Sequence>& sequences,
                               const model::ModelConfig& config, int64_t pad_id,
                               int64_t batch_tokens = kDefaultBatchTokens);
// The same without targets.
std::vector<Batch> MakeBatches(const std::vector<text::Encoding>& encodings,
                               const model::ModelConfig& config, int64_t pad_id,
                               int64_t batch_tokens = kDefaultBatchTokens);

// Of one example: the task's limit or the model's, whichever is lower.
int64_t MaxTokens(const task::TaskSpec& spec, const model::ModelConfig& config);

// How one model answers a classification task in one step: by its head, or by the first token it
// generates.
class TaskReader {
 public:
  // Throws Error{kInput} when they do not fit: a classification head with another number of
  // labels, a label word the vocabulary does not know, two labels with the same first token, a
  // head that answers no such task. References must outlive the reader.
  TaskReader(const task::TaskSpec& spec, const model::ModelConfig& config,
             const text::Tokenizer& tokenizer);

  std::vector<text::Encoding> Encode(const task::Dataset& dataset) const;
  // Runs the model -> [batch, labels]: logits of the classes, or of the label words as the first
  // generated token.
  at::Tensor Ask(model::Transformer& model, const model::ForwardInputs& inputs) const;
  // The same of the head's logits, [batch, labels], or of the first generated token's, [batch,
  // vocab].
  at::Tensor LabelScores(const at::Tensor& logits) const;
  // Of text-to-text models: the first token of each label word.
  const std::vector<int64_t>& label_ids() const { return label_ids_; }

 private:
  const task::TaskSpec& spec_;
  const model::ModelConfig& config_;
  const text::Tokenizer& tokenizer_;
  std::vector<int64_t> label_ids_;
};

// Each text of a file (task/text_file.h), cut at `max_tokens`. Error{kInput} for a file without
// text and for one that the model cannot read (model/input_check.h), with its line.
std::vector<text::Encoding> EncodeTextFile(const std::filesystem::path& path,
                                           const std::string& field,
                                           const text::Tokenizer& tokenizer,
                                           const model::ModelConfig& config, int64_t max_tokens,
                                           int64_t limit);

}  // namespace moefy::ask
