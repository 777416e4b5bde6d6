// What must hold of a task file beyond the types of its keys: that its columns, prompts, labels and
// choices fit its kind, its format and each other. Pure functions.
#pragma once

#include "base/problems.h"
#include "task/task_spec.h"

namespace moefy::task {

// Whether one column holds all choices of an example.
bool HasChoiceList(const TaskSpec& spec);

// Names everything that is wrong with the task.
void CheckTaskSpec(const TaskSpec& spec, Problems& problems);

}  // namespace moefy::task
