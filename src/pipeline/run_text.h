// Inference with a dense or a split model: text in, answers out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "moefy/base/progress.h"
#include "pipeline/run_options.h"

namespace moefy::pipeline {

// Hears of every answer as soon as it and those before it are there. What an answer holds depends
// on the model:
//   classification                  label, scores {label: probability}
//   several labels at once          labels (those more likely than not), scores
//   regression                      score, or values {label: value}
//   token classification            tokens [{token, label, share}]
//   masked language models          text (filled), masks [{candidates [{token, id, share}]}]
//   encoders without a head         embedding [numbers]
//   question answering              answer, score, begin, end (bytes of the context)
//   language models                 text, tokens, finished (an end token came)
// with a task on its kind:
//   classification                  label, scores
//   multiple_choice                 choice (its letter), text, scores {letter: probability}
//   extractive_qa                   answer, and score of a question answering head
//   generation                      text
//   language_modelling              perplexity, nats_per_token, tokens (predicted)
// and "id" if the input had one. An input that cannot be answered has "error" alone.
using AnswerSink = std::function<void(size_t input_idx, const Json& answer)>;
// Hears of text while it is generated, if there is one prompt.
using PieceSink = std::function<void(std::string_view piece)>;

struct RunTextResult {
  int64_t num_answers = 0;
  int64_t new_tokens = 0;             // generated without a task
  double seconds = 0;                 // without loading
  double ffn_ratio = 1;               // neurons evaluated / neurons
  std::vector<std::string> failures;  // why inputs were not answered, each with its file and line
  std::vector<std::string> warnings;
};

// Answers the inputs in their order. An input that breaks (not UTF-8, no such field, too long,
// tokens the model has no row for) costs itself only; encoders cut inputs that are longer than
// their positions, with a warning. Throws Error{kUsage} when there is nothing to run or the input
// does not suit the model's head, Error{kInput} with file and line when nothing can be answered,
// before the model is loaded where it can be known.
RunTextResult RunText(const RunOptions& options, const AnswerSink& on_answer,
                      const PieceSink& on_piece, Progress& progress);

}  // namespace moefy::pipeline
