// The stages verify, which proves that a split checkpoint is a permutation of a dense one, and
// merge, which makes it dense again.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/if_exists.h"
#include "moefy/base/progress.h"
#include "moefy/split/verify_report.h"

namespace moefy::pipeline {

struct VerifyOptions {
  std::string dense;
  std::string moe;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("dense", dense, "the dense checkpoint");
    v.Argument("moe", moe, "the split checkpoint said to be made of it");
  }
};

// Throws Error{kInput} when either side cannot be read or holds values that are not finite.
split::VerifyReport Verify(const VerifyOptions& options, Progress& progress);

struct MergeOptions {
  std::string moe;
  std::string out;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("moe", moe, "split checkpoint directory");
    v.Field("out", out, "directory of the dense checkpoint");
  }
};

struct MergeResult {
  std::filesystem::path out;
  std::vector<std::string> warnings;
};

// Throws as Verify, and when the config.json of the split checkpoint was changed after the split.
MergeResult Merge(const MergeOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
