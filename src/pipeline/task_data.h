// Where every stage finds a task and its examples. Thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/output.h"
#include "task/dataset.h"
#include "task/task_spec.h"

namespace moefy::pipeline {

// Reads task files. Throws Error{kUsage} for one that makes no sense or has no such split.
std::vector<task::TaskSpec> ReadTasks(const std::vector<std::string>& files,
                                      const std::string& split);

// The data directory of a task: `data` if it is given, else the task file's own directory.
std::filesystem::path DataDirectory(const task::TaskSpec& spec, const std::string& data);

// The files that a command reads of these tasks: the task files and their data files.
InputPaths TaskInputs(const std::vector<task::TaskSpec>& tasks, const std::string& split,
                      const std::string& data);

}  // namespace moefy::pipeline
