#include "pipeline/task_data.h"

namespace moefy::pipeline {

std::vector<task::TaskSpec> ReadTasks(const std::vector<std::string>& files,
                                      const std::string& split) {
  std::vector<task::TaskSpec> tasks;
  for (const std::string& file : files) tasks.push_back(task::ReadTaskSpec(file));
  for (const task::TaskSpec& spec : tasks) spec.GetSplit(split);
  return tasks;
}

std::filesystem::path DataDirectory(const task::TaskSpec& spec, const std::string& data) {
  return data.empty() ? spec.directory : std::filesystem::path(data);
}

InputPaths TaskInputs(const std::vector<task::TaskSpec>& tasks, const std::string& split,
                      const std::string& data) {
  InputPaths inputs;
  for (const task::TaskSpec& spec : tasks) {
    inputs.push_back(spec.file);
    for (const std::filesystem::path& file : spec.GetSplit(split).Files(spec.format)) {
      inputs.push_back(DataDirectory(spec, data) / file);
    }
  }
  return inputs;
}

}  // namespace moefy::pipeline
