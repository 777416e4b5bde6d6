// Answers of `moefy run --task`.
#pragma once

#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/base/progress.h"
#include "moefy/model/generation.h"
#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"
#include "pipeline/ordered_answers.h"
#include "pipeline/run_inputs.h"
#include "task/task_spec.h"

namespace moefy::pipeline {

// Gives one object per input, as moefy/pipeline/run.h says, by the task's own way of asking the
// model (eval/prepared_task.h). Inputs that lack a field of the task, or cannot be asked, cost
// themselves only; Error{kInput} for a task that the model cannot answer.
void AnswerTask(const task::TaskSpec& spec, const std::vector<RunInput>& inputs,
                model::Transformer& model, const text::Tokenizer& tokenizer,
                const model::GenerationOptions& generation, OrderedAnswers& answers,
                Progress& progress);

// The likeliest label and each one's share, of logits [labels].
Json LabelAnswer(const at::Tensor& scores, const std::vector<std::string>& names);

}  // namespace moefy::pipeline
