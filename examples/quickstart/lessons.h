// An endless stream of training batches of both tasks. Each batch holds prompts of one length, so
// that nothing is padded. Deterministic in its seed. One owner at a time.
#pragma once

#include <map>
#include <vector>

#include "corpus.h"
#include "moefy/model/transformer.h"
#include "moefy/task/task_spec.h"
#include "moefy/text/tokenizer.h"

namespace moefy::example {

struct Lesson {
  model::ForwardInputs inputs;  // decoder_input_ids: start, answer  [batch, 2]
  at::Tensor targets;           // answer, end                       [batch, 2]
};

class Lessons {
 public:
  // `specs` are in the order of Corpora(). References must outlive this.
  Lessons(const std::vector<task::TaskSpec>& specs, const text::Tokenizer& tokenizer,
          int64_t decoder_start_id, int64_t tokens_per_batch, uint64_t seed);

  // Each prompt is the shortest of `num_candidates`: many make easy lessons, 1 true ones.
  Lesson Next(int64_t num_candidates);

 private:
  struct Prompt {
    std::vector<int64_t> ids;
    int64_t answer_id;
  };

  Prompt DrawPrompt(int64_t num_candidates);
  Lesson ToLesson(const std::vector<Prompt>& prompts) const;

  const std::vector<task::TaskSpec>& specs_;
  const text::Tokenizer& tokenizer_;
  int64_t decoder_start_id_;
  int64_t tokens_per_batch_;
  Random random_;
  std::vector<std::vector<int64_t>> answer_ids_;     // per corpus and label
  std::map<size_t, std::vector<Prompt>> by_length_;  // not yet enough for a batch
};

}  // namespace moefy::example
