// A task made ready for models of one kind: its examples are encoded once, and any number of models
// answer them. The kind of task and the model's head decide how it answers.
// Thread-safety: const objects may be shared; a model runs one call at a time.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ask/batches.h"
#include "moefy/base/progress.h"
#include "moefy/model/generation.h"
#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"
#include "task/dataset.h"
#include "task/task_spec.h"

namespace moefy::ask {

// What a model says about one example.
struct Answer {
  int64_t label_idx = -1;       // of tasks with labels or choices: the one with the largest score
  std::string text;             // the label's value, the choice's letter, or the model's own words
  int64_t normalized_idx = -1;  // of choices: the one with the largest score per character
  // Distributions as logits, to compare models by: one over the labels, or one per token over the
  // vocabulary. [distributions, classes] F32; undefined if there are none.
  at::Tensor scores;
  // Question answering by spans gives the best spans, each with its share of all.
  std::vector<std::pair<std::string, double>> best;
  // Language modelling and completion, per token: -log p of the right one, and the likeliest one.
  std::vector<double> nats;
  std::vector<int64_t> likeliest;
  std::vector<int64_t> targets;  // of masked language modelling: the right ones
  bool all_likeliest = false;    // of completion: every right token is the likeliest
};

class PreparedTask {
 public:
  virtual ~PreparedTask() = default;
  // Gives one answer per example. Advances `progress` by num_steps() in all; the caller begins and
  // ends the step.
  virtual std::vector<Answer> Ask(model::Transformer& model, Progress& progress) const = 0;
  virtual uint64_t num_steps() const = 0;
  // Every input with the right answer behind it (the first accepted one), as training and recording
  // run them.
  virtual std::vector<Sequence> RightSequences() const = 0;
};

// Throws Error{kInput} if task and model do not fit: a head that cannot answer such a task or has
// another number of labels, no prompt, labels that the vocabulary does not know. This is the one
// place that decides so. `generation` has the model's special tokens; lengths are the task's. All
// references must outlive the result.
std::unique_ptr<PreparedTask> PrepareTask(const task::TaskSpec& spec, const task::Dataset& dataset,
                                          const model::ModelConfig& config,
                                          const text::Tokenizer& tokenizer,
                                          const model::GenerationOptions& generation);

}  // namespace moefy::ask
