// The stage sparsity: how sparsely a model's neurons fire, on a dump or on a corpus run for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moefy/base/output.h"
#include "moefy/base/progress.h"
#include "moefy/eval/sparsity_study.h"

namespace moefy::pipeline {

struct SparsityOptions {
  std::string checkpoint;
  std::string dump;
  std::vector<std::string> tasks;
  std::string text;
  std::string data;
  std::string split = "train";
  int64_t limit = 2000;
  int64_t max_tokens = 16384;
  std::string plots;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "dense or split checkpoint directory");
    v.Field("dump", dump, "activation dump of the model, made by `moefy record`");
    v.Field("task", tasks, "task files whose examples are run, instead of --dump");
    v.Field("text", text, "a text file to run, a line per example, instead of --dump");
    v.Field("data", data, "directory of the tasks' data files (default: beside each task file)");
    v.Field("split", split, "which split of the tasks");
    v.Field("limit", limit, "examples per task or text, spread evenly over the file; 0 for all");
    v.Field("max-tokens", max_tokens, "tokens looked at per FFN at most, spread over the dump");
    v.Field("plots", plots, "directory for SVG plots");
  }
};

struct SparsityResult {
  std::string corpus;
  std::vector<eval::FfnSparsity> ffns;
  std::vector<std::string> plots;  // files written
  std::vector<std::string> warnings;
};

SparsityResult Sparsity(const SparsityOptions& options, IfExists if_exists, Progress& progress);

}  // namespace moefy::pipeline
