// An endless stream of training batches of both tasks, stories twice as often. Each batch holds
// prompts of one length, so that nothing is padded. Deterministic in its seed. One owner at a time.
#pragma once

#include <map>
#include <vector>

#include "corpus.h"
#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"
#include "task/task_spec.h"

namespace moefy::example {

// The decoder is asked for the answer, then for each hint's: start, about, about, ... -> answer,
// hint, hint, ...
struct Lesson {
  model::ForwardInputs inputs;  // decoder_input_ids [batch, 1 + hints]
  at::Tensor targets;           // [batch, 1 + hints]; -100 where a text has fewer hints
  // [batch, tokens]: at each place in a story, 1 if what its sentence says of a thing holds at the
  // end, 0 if a later one overrules it; -100 elsewhere. Undefined if there is none.
  at::Tensor standings;
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
    std::vector<int64_t> decoder_ids;
    std::vector<int64_t> targets;
    std::vector<int64_t> standings;  // as many as ids
  };

  Prompt DrawPrompt(int64_t num_candidates);
  std::vector<int64_t> PlaceStandings(const std::vector<int64_t>& ids,
                                      const std::vector<Standing>& standings,
                                      const task::TaskSpec& spec) const;
  Lesson ToLesson(const std::vector<Prompt>& prompts) const;

  const std::vector<task::TaskSpec>& specs_;
  const text::Tokenizer& tokenizer_;
  int64_t decoder_start_id_;
  int64_t tokens_per_batch_;
  Random random_;
  std::map<size_t, std::vector<Prompt>> by_length_;  // not yet enough for a batch
};

}  // namespace moefy::example
