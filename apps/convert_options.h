// The options of moefy convert.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/options.h"

namespace moefy::apps {

struct ConvertOptions {
  std::vector<std::string> recipes;
  std::string out;
  std::string model;
  std::string data;
  std::vector<std::string> tasks;
  std::string max_loss;
  std::optional<int64_t> tune;
  bool dry_run = false;
  int64_t jobs = 1;
  bool keep_going = false;
  std::vector<std::string> only;
  std::string junit;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("recipe", recipes, "recipe files; or the directory of one dense checkpoint");
    v.Field("out", out, "directory of the result; of several jobs, one directory each in it");
    v.Field("task", tasks, "of a checkpoint without a recipe: the task files that it is for");
    v.Field("model", model, "dense checkpoint, instead of the recipe's");
    v.Field("data", data, "directory of the tasks' data files, instead of the recipe's");
    v.Field("max-loss", max_loss,
            "what the tasks' metrics may lose, e.g. 0.5%: the ratio that keeps to it is looked for "
            "on the split train");
    v.Field("tune", tune,
            "add a calibrate stage: so many samples of the task that is recorded tune the weights, "
            "by distillation from the dense model");
    v.Field("dry-run", dry_run, "only say what would be done, from headers alone");
    v.Field("jobs", jobs, "how many jobs run at a time; they share the threads");
    v.Field("keep-going", keep_going, "run the other jobs although one ended with an error");
    v.Field("only", only, "the jobs of these names alone; * and ? stand for any letters");
    v.Field("junit", junit, "file for what became of each stage and task, as JUnit XML");
  }
};

}  // namespace moefy::apps
