// What the result of a stage depends on, as JSON that is equal when the results are: the stage's
// own options without paths, and in place of paths the content of what lies there. So a stage is
// kept wherever its inputs lie and however their paths are spelled.
// Thread-safety: one owner.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/io/checkpoint.h"

namespace moefy::pipeline {

// Options, as OptionsToJson gives them, without those that only say where something lies or who
// works.
Json WithoutPaths(const Json& options);
// Those that do, where they are given and do not lie in `out`, where a conversion puts them itself.
Json OnlyPaths(const Json& options, const std::filesystem::path& out);

// The contents of inputs. Each file is read once.
class InputKeys {
 public:
  // A checkpoint's tensors, config.json, and the files beside them that go into what is made of it.
  Json OfModel(const io::Checkpoint& model);
  // A task file and the data file of one of its splits.
  std::string OfTask(const std::string& task_file, const std::string& split,
                     const std::string& data);
  Json OfTasks(const std::vector<std::string>& task_files, const std::string& split,
               const std::string& data);
  // A text file, with its name, because dumps tell it; "" for no file.
  std::string OfText(const std::string& text_file);

  // The fingerprint of every task, data and text file that was asked for, by its path.
  const std::map<std::filesystem::path, std::string>& files() const { return files_; }

 private:
  const std::string& OfFile(const std::filesystem::path& file);

  std::map<std::filesystem::path, std::string> files_;
};

}  // namespace moefy::pipeline
