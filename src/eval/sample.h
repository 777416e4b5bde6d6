// One example's answer as a line for people and programs to look into.
#pragma once

#include "moefy/base/json.h"
#include "moefy/eval/evaluate.h"
#include "moefy/eval/prepared_task.h"

namespace moefy::eval {

// {"task", "id", "model", "selection", "ffn_ratio", "prediction", "gold", "scores", metrics...}; id
// counts the examples of the file from 0. Keys that the kind of task has no use for are left out.
Json SampleToJson(const task::TaskSpec& spec, const EvaluationRow& row, size_t example_idx,
                  const task::Example& example, const Answer& answer);

}  // namespace moefy::eval
