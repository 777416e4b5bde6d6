// Runs a recipe: inspect, record, split, route-train, calibrate, eval, everything under one
// directory. Keeps what stages made earlier from the same content with the same options, wherever
// that lay and lies now (pipeline/stage_key.h).
//
//   out/inspect.json  out/dump/  out/split-<name>/  out/moe-<name>/  out/eval.json  out/report.txt
//   out/choice.json   the ratios that were tried, where the recipe has a max_loss
//   out/results.json  what became of it, for programs (pipeline/results.h)
//   out/stages.json   what each stage was made from; a stage runs again when that changes
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/base/progress.h"
#include "pipeline/check_recipe.h"
#include "pipeline/choose_ratio.h"

namespace moefy::pipeline {

struct ConvertStage {
  std::string name;   // "record", "split kmeans", ...
  bool kept = false;  // done before with the same inputs
  double seconds = 0;
  Json options = {};  // as they were given, paths included
};

struct ConvertResult {
  std::filesystem::path out;
  std::filesystem::path moe;  // the first of the models that were made
  std::vector<ConvertStage> stages;
  Json reports;             // eval.json: one report per task
  std::string report_text;  // report.txt: the same as tables
  // With a max_loss in the recipe: the ratio that keeps to it, if there is one, and what was tried.
  std::optional<RatioChoice> choice;
  std::vector<RatioChoice> tried;
  std::vector<std::string> warnings;
  Json inputs;  // {"model": {path, fingerprint}, "files": [{path, fingerprint}, ...]}
};

// `redo` ignores what was done before. Throws Error{kUsage} when `out` exists and is not the output
// of an earlier conversion. `about` goes into results.json.
ConvertResult Convert(const CheckedRecipe& checked, const std::filesystem::path& out, bool redo,
                      Progress& progress, const Json& about = Json::object());

}  // namespace moefy::pipeline
