// The stage eval measures the downstream quality of split models against dense.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moefy/base/if_exists.h"
#include "moefy/base/progress.h"
#include "moefy/eval/evaluation_report.h"
#include "moefy/io/checkpoint.h"

namespace moefy::pipeline {

struct EvalOptions {
  std::vector<std::string> models;
  std::string dense;
  std::vector<std::string> tasks;
  std::string data;
  std::string split = "eval";
  std::vector<double> ffn_ratios = {0.1, 0.2, 0.3, 0.5, 1.0};
  std::vector<std::string> selections = {"stored", "similarity", "random", "oracle"};
  std::string weights;
  std::string device = "cpu";
  int64_t limit = 0;
  int64_t seed = 0;
  std::string samples;
  std::string fail_if;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("model", models, "split checkpoints to compare (a dense one: only its own score)");
    v.Field("dense", dense, "the dense base line (default: the first model run densely)");
    v.Field("task", tasks, "task files");
    v.Field("data", data, "directory of the tasks' data files (default: beside each task file)");
    v.Field("split", split, "which split of the tasks");
    v.Field("ffn-ratio", ffn_ratios,
            "shares of the FFNs' work to do, router aside, e.g. 0.1,0.2,1.0");
    v.Field(
        "selection", selections,
        "how experts are chosen: stored (by the routers that a model holds) or one of their kinds, "
        "similarity, random, oracle, oracle-output; docs/routing.md has all and their policies");
    v.Field("weights", weights,
            "how weights are kept, in all rows but the dense base line: f32, bf16, f16, int8 "
            "or int4 (default: as a packed checkpoint holds them, else f32)");
    v.Field("device", device,
            "of the dense base line: cpu, cuda or cuda:N; all other rows are always on the CPU");
    v.Field("limit", limit, "only the first examples; 0 for all");
    v.Field("seed", seed, "of the random selection");
    v.Field("samples", samples, "JSON lines file for what each row says about each example");
    v.Field("fail-if", fail_if,
            "exit with 1 if any row is like this, e.g. 'accuracy < 0.98*dense' (docs/tasks.md)");
  }
};

// Throws Error{kUsage} for options that make no sense, for a `fail_if` that cannot be read or names
// figures that a task does not have, and for unknown selections. Of all paths, it reads the task
// files only.
void CheckEvalOptions(const EvalOptions& options);

// Gives one report per task; rows that meet `fail_if` are in its `failures`. However many tasks
// there are, each model is made once, and only one is in memory at a time. `if_exists` is for
// samples. `opened` is the checkpoint of `dense` where the caller has it open already.
std::vector<eval::EvaluationReport> Eval(
    const EvalOptions& options, IfExists if_exists, Progress& progress,
    const std::optional<io::Checkpoint>& opened = std::nullopt);

}  // namespace moefy::pipeline
