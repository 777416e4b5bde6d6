// A downstream task is one JSON file; docs/tasks.md describes every key.
// Values, thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace moefy::task {

enum class DataFormat { kTsv, kCsv, kJsonl };

struct DataSplit {
  std::string name;                            // "train", "eval", ...
  std::string file;                            // relative to the data directory
  std::map<std::string, std::string> columns;  // the task's field -> the file's column
};

struct Label {
  std::string value;  // as it stands in the label column
  std::string word;   // what a text-to-text model answers; "" if the task has no prompt
};

struct TaskSpec {
  std::string name;
  std::string description;
  DataFormat format = DataFormat::kTsv;
  std::vector<DataSplit> splits;
  // For encoders with a classification head: one field, or two for a pair of segments.
  std::vector<std::string> inputs;
  // For text-to-text models: fields in braces, e.g. "sst2 sentence: {sentence}".
  std::string prompt;
  // Class i of a classification head is labels[i]; a text-to-text model is read by the logits of
  // the label words' first tokens at the first decoder step.
  std::vector<Label> labels;
  int64_t max_tokens = 512;  // per example, special tokens included
  std::string metric = "accuracy";

  std::filesystem::path directory;  // where the task file lies: the default data directory

  const DataSplit& GetSplit(const std::string& split_name) const;  // Error{kUsage} lists the splits
};

// Throws Error{kUsage} with file, key, found and wanted.
TaskSpec ReadTaskSpec(const std::filesystem::path& path);

}  // namespace moefy::task
