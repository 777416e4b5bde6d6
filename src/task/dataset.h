// Reads and checks the examples of a task before any model is loaded. Values, thread-safe.
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
  // The right label: for classification an index into TaskSpec::labels, for multiple choice into
  // `choices`.
  int64_t label_idx = 0;
  std::vector<std::string> choices = {};
  // For question answering, generation and completion: the accepted answers. Empty: the context
  // does not tell.
  std::vector<std::string> answers = {};
};

struct Dataset {
  std::vector<std::filesystem::path> files;  // one, or one for each field of parallel text
  std::vector<Example> examples;
  int64_t max_windows = 0;  // the most windows of texts to predict, in all; 0: all there are
};

// Reads a split. `limit` > 0 keeps the first examples, and of texts to predict the first windows.
// Throws Error{kInput} with file, line and field for bad rows (a missing column, an unknown label,
// broken JSON, invalid UTF-8, an empty context, an answer that is not in it) and for an empty file.
Dataset ReadDataset(const TaskSpec& spec, const std::string& split_name,
                    const std::filesystem::path& data_directory, int64_t limit = 0);

// The prompt, such as "sst2 sentence: {sentence}", with the example's fields put in.
std::string FormatPrompt(const TaskSpec& spec, const Example& example);
// What follows the prompt, TaskSpec::continuation, likewise.
std::string FormatContinuation(const TaskSpec& spec, const Example& example);

}  // namespace moefy::task
