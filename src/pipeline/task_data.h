// Where every stage finds the examples of a task. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "moefy/base/output.h"
#include "task/dataset.h"
#include "task/task_spec.h"

namespace moefy::pipeline {

// The data directory of a task: `data` if it is given, else the task file's own directory.
inline std::filesystem::path DataDirectory(const task::TaskSpec& spec, const std::string& data) {
  return data.empty() ? spec.directory : std::filesystem::path(data);
}

// The files that a command reads of these tasks: the task files and their data files.
inline InputPaths TaskInputs(const std::vector<std::string>& tasks, const std::string& split,
                             const std::string& data) {
  InputPaths inputs;
  for (const std::string& file : tasks) {
    const task::TaskSpec spec = task::ReadTaskSpec(file);
    inputs.insert(inputs.end(), {file, DataDirectory(spec, data) / spec.GetSplit(split).file});
  }
  return inputs;
}

}  // namespace moefy::pipeline
