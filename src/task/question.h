// Examples that are asked without a right answer. Pure functions, thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "task/dataset.h"
#include "task/task_spec.h"

namespace moefy::task {

// The fields that a question of this task has: an example's, without the answer and without a list
// of choices.
std::vector<std::string> QuestionFields(const TaskSpec& spec);

// An example with these fields. `choices` is for multiple choice from documents; tables have fields
// for their choices. Throws Error{kInput} for too few or too many choices, and for an empty
// context.
Example MakeQuestion(const TaskSpec& spec, std::map<std::string, std::string> fields,
                     std::vector<std::string> choices = {});

}  // namespace moefy::task
