#include "pipeline/sample_file.h"

#include <cerrno>
#include <string>

#include "base/own_output.h"
#include "moefy/base/error.h"

namespace moefy::pipeline {

SampleFile::SampleFile(const std::filesystem::path& path, size_t num_tasks, IfExists if_exists,
                       const InputPaths& inputs)
    : staged_(path, if_exists, inputs) {
  if (num_tasks > 1) scratch_.emplace("moefy-samples");
  for (size_t i = 0; i < num_tasks; ++i) {
    Part& part = parts_.emplace_back();
    part.path = i == 0 ? staged_.path() : scratch_->path() / StrCat(i, ".jsonl");
    part.out.open(part.path, std::ios::binary | std::ios::trunc);
  }
}

void SampleFile::Add(size_t task_idx, const Json& sample) {
  Part& part = parts_[task_idx];
  part.out << FormatOwnLine(sample);
  if (!part.out) throw SystemError(errno, part.path, ": cannot be written");
}

void SampleFile::Flush(Part& part) {
  part.out.close();
  if (!part.out) throw SystemError(errno, part.path, ": cannot be written");
}

void SampleFile::Commit() {
  Part& whole = parts_.front();
  for (size_t i = 1; i < parts_.size(); ++i) {
    Flush(parts_[i]);
    std::ifstream in(parts_[i].path, std::ios::binary);
    // Copying nothing would count as a failure.
    if (in.peek() != std::ifstream::traits_type::eof()) whole.out << in.rdbuf();
    if (in.bad() || !whole.out) throw SystemError(errno, whole.path, ": cannot be written");
  }
  Flush(whole);
  staged_.Commit();
}

}  // namespace moefy::pipeline
