// Sequences of tokens, and the batches of them that a model runs. Pure functions but for
// EncodeTextFile, which reads a file; thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"
#include "task/dataset.h"
#include "task/task_spec.h"

namespace moefy::ask {

// What a model reads, and what it is to say after it. A model that generates reads every token of
// `target` except the last (teacher forcing).
struct Sequence {
  text::Encoding input;  // an encoder's, or the beginning of what a decoder goes on with
  // For a model that generates, the tokens it is to say; for a classification head, the class; for
  // a question answering head, the columns of the answer's first and last token. Empty: nothing is
  // asked.
  std::vector<int64_t> target;
};

inline constexpr int64_t kNoTarget = -100;  // what LibTorch's losses leave out

struct Batch {
  model::ForwardInputs inputs;
  std::vector<int64_t> example_idxs;  // into what was batched, one per row
  // For models that generate, the token that each column of the logits should give, or kNoTarget;
  // for other heads, each row's target. Undefined if nothing is asked. [batch, columns] I64.
  at::Tensor targets;
};

// Padded tokens per batch: enough to keep the GEMMs busy, small enough for the caches.
inline constexpr int64_t kDefaultBatchTokens = 4096;

// Sorts the sequences by length and groups them so that the number of rows times the longest row
// stays within `batch_tokens` (one row always fits). Padding is on the right, for causal models on
// the left.
std::vector<Batch> MakeBatches(const std::vector<Sequence>& sequences,
                               const model::ModelConfig& config, int64_t pad_id,
                               int64_t batch_tokens = kDefaultBatchTokens);
// Makes batches of encodings, which have no targets.
std::vector<Batch> MakeBatches(const std::vector<text::Encoding>& encodings,
                               const model::ModelConfig& config, int64_t pad_id,
                               int64_t batch_tokens = kDefaultBatchTokens);

// The most tokens of one example: the task's limit or the model's, whichever is lower.
int64_t MaxTokens(const task::TaskSpec& spec, const model::ModelConfig& config);

// Encodes each text of a file (task/text_file.h), cut at `max_tokens`. Throws Error{kInput} for a
// file without text, and with its line for a text that the model cannot read
// (model/input_check.h).
std::vector<text::Encoding> EncodeTextFile(const std::filesystem::path& path,
                                           const std::string& field,
                                           const text::Tokenizer& tokenizer,
                                           const model::ModelConfig& config, int64_t max_tokens,
                                           int64_t limit);

}  // namespace moefy::ask
