// Examples that are asked without a right answer. Pure functions, thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "task/dataset.h"
#include "task/task_spec.h"

namespace moefy::task {

// What has to be known of an example of this task: its fields but for the answer, and for a list of
// choices.
std::vector<std::string> QuestionFields(const TaskSpec& spec);

// Of these fields. `choices` are for multiple choice from documents; tables have fields for theirs.
// Error{kInput} for too few or too many choices, or an empty context to find an answer in.
Example MakeQuestion(const TaskSpec& spec, std::map<std::string, std::string> fields,
                     std::vector<std::string> choices = {});

}  // namespace moefy::task
