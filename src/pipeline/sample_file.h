// The file of `moefy eval --samples`: lines of JSON that appear as a whole file or not at all.
// Thread-safety: one owner.
#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <vector>

#include "base/json.h"
#include "base/output.h"

namespace moefy::pipeline {

// The lines of a task stand together, tasks in their order, although the rows of several tasks take
// turns: those of all tasks but the first wait in files of their own.
class SampleFile {
 public:
  SampleFile(const std::filesystem::path& path, size_t num_tasks, IfExists if_exists,
             const InputPaths& inputs);

  // Throws Error{kSystem} where writing fails.
  void Add(size_t task_idx, const Json& sample);
  void Commit();

 private:
  struct Part {
    std::filesystem::path path;
    std::ofstream out;
  };
  static void Flush(Part& part);

  StagedFile staged_;
  std::optional<ScratchDirectory> scratch_;  // of the tasks after the first
  std::vector<Part> parts_;                  // one per task
};

}  // namespace moefy::pipeline
