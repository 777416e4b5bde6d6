// The stage verify, a permutation proof; and merge, back to dense.
#pragma once

#include <string>

#include "moefy/base/output.h"
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

void Merge(const MergeOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
