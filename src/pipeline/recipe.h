// A recipe: one JSON file that describes a whole conversion. docs/recipes.md describes every key.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "moefy/pipeline/eval_stage.h"
#include "moefy/pipeline/record_stage.h"
#include "moefy/pipeline/route_stage.h"
#include "moefy/pipeline/split_stage.h"
#include "pipeline/sparsify_stage.h"
#include "pipeline/train_stages.h"

namespace moefy::pipeline {

// One way to split the model; a recipe may compare several.
struct RecipeSplit {
  std::string name;  // of the directories split-<name> and moe-<name>
  SplitOptions options;
};

// One way to train routers; a recipe may compare several.
struct RecipeRoute {
  std::string name;  // of the directories moe-<split>-<name>; "" where it is the only one
  RouteTrainOptions options;
};

struct Recipe {
  std::string name;   // the file's name without ".json"
  std::string model;  // dense checkpoint directory
  std::string data;   // directory of the tasks' data files; "": beside each task file
  std::optional<SparsifyOptions> sparsify;  // before all else
  RecordOptions record;
  std::vector<RecipeSplit> splits;
  std::vector<RecipeRoute> routes = {{}};     // of every split
  std::optional<CalibrateOptions> calibrate;  // each of these as well, besides what it is without
  EvalOptions eval;
};

// Reads and checks a recipe; relative paths in it are taken from the recipe's own directory.
// Throws Error{kUsage} with file, key, found and wanted; unknown keys name the nearest one.
Recipe ReadRecipe(const std::filesystem::path& path);

}  // namespace moefy::pipeline
