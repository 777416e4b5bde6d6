// How every stage finds the examples of a task.
#pragma once

#include <string>

#include "moefy/task/dataset.h"
#include "moefy/task/task_spec.h"

namespace moefy::pipeline {

// The data directory of a task: `data`, or the task file's own directory.
inline std::filesystem::path DataDirectory(const task::TaskSpec& spec, const std::string& data) {
  return data.empty() ? spec.directory : std::filesystem::path(data);
}

}  // namespace moefy::pipeline
