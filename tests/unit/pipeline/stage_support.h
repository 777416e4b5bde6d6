// What the tests of stages share: a model with a tokenizer and a task, and an ear for progress.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "moefy/base/error.h"
#include "moefy/base/progress.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::tests {

// A copy of the example's model, to put files beside it.
inline std::filesystem::path CopyQuickstart(const TempDir& dir, const std::string& name = "dense") {
  std::filesystem::copy(Quickstart() / "model", dir / name);
  return dir / name;
}

// A file beside a model that is too large to be copied with it; it takes no room on disk.
inline void AddLargeFile(const std::filesystem::path& model) {
  WriteBytes(model / "corpus.txt", "");
  std::filesystem::resize_file(model / "corpus.txt", (64 << 20) + 1);
}
inline constexpr const char* kLargeFileWarning = "'corpus.txt' was not copied";

// Adds up the units of every step by its name, and asks to stop in one of them.
class StepCounter final : public Progress {
 public:
  explicit StepCounter(std::string stop_in = "") : stop_in_(std::move(stop_in)) {}

  void Section(std::string_view) override {}
  void Begin(std::string_view what, uint64_t, std::string_view) override {
    step_ = what;
    units_[step_] += 0;
  }
  void Advance(uint64_t num_units) override {
    units_[step_] += num_units;
    if (!stop_in_.empty() && step_.find(stop_in_) != std::string::npos) {
      throw Error(ErrorKind::kInterrupted, "interrupted in " + step_);
    }
  }
  void End(std::string_view) override {}

  bool Has(const std::string& step) const { return units_.contains(step); }
  uint64_t units(const std::string& step) const { return Has(step) ? units_.at(step) : 0; }

 private:
  std::string stop_in_, step_;
  std::map<std::string, uint64_t> units_;
};

}  // namespace moefy::tests
