// Examples of a task, read and checked before any model is loaded. Values, thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "task/task_spec.h"

namespace moefy::task {

struct Example {
  std::map<std::string, std::string> fields;  // the task's field -> text
  // Classification: into TaskSpec::labels. Multiple choice: into `choices`.
  int64_t label_idx = 0;
  std::vector<std::string> choices = {};
  // Question answering, generation and completion: the accepted ones. Empty: the context does not
  // tell.
  std::vector<std::string> answers = {};
};

struct Dataset {
  std::filesystem::path file;
  std::vector<Example> examples;
  int64_t max_windows = 0;  // of texts to predict: no more windows in all; 0: all there are
};

// Reads a split. Every bad row is Error{kInput} with file, line and field: missing column, unknown
// label, broken JSON, invalid UTF-8, an empty context, an answer that is not in it; also an empty
// file. `limit` > 0 keeps the first examples, and of texts to predict the first windows.
Dataset ReadDataset(const TaskSpec& spec, const std::string& split_name,
                    const std::filesystem::path& data_directory, int64_t limit = 0);

// "sst2 sentence: {sentence}" with the example's fields put in.
std::string FormatPrompt(const TaskSpec& spec, const Example& example);
// The same of what follows the prompt, where TaskSpec::continuation says it.
std::string FormatContinuation(const TaskSpec& spec, const Example& example);

}  // namespace moefy::task
