// Answers of `moefy run --task`. Thread-safety: as the model's.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/base/progress.h"
#include "moefy/model/generation.h"
#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"
#include "pipeline/ordered_answers.h"
#include "pipeline/run_inputs.h"
#include "task/task_spec.h"

namespace moefy::pipeline {

// Gives one object per input, as pipeline/run_text.h says, by the task's own way of asking
// the model (ask/prepared_task.h). An input that lacks a field of the task, or cannot be asked,
// costs itself only. Throws Error{kInput} for a task that the model cannot answer.
void AnswerTask(const task::TaskSpec& spec, const std::vector<RunInput>& inputs,
                model::Transformer& model, const text::Tokenizer& tokenizer,
                const model::GenerationOptions& generation, OrderedAnswers& answers,
                Progress& progress);

// The likeliest label and the share of each, by logits [labels] and a name of each label.
Json LabelAnswer(const at::Tensor& scores, const std::vector<std::string>& names);

}  // namespace moefy::pipeline
