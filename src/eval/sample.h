// Writes one example's answer as a line for people and programs to look into. Pure function.
#pragma once

#include "ask/prepared_task.h"
#include "base/json.h"
#include "moefy/eval/evaluation_report.h"

namespace moefy::eval {

// {"task", "id", "model", "selection", "ffn_ratio", "prediction", "gold", "scores", metrics...}.
// `id` counts the examples of the file from 0. Keys that the kind of task has no use for are left
// out.
Json SampleToJson(const task::TaskSpec& spec, const EvaluationRow& row, size_t example_idx,
                  const task::Example& example, const ask::Answer& answer);

}  // namespace moefy::eval
