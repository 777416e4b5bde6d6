// A recipe: one JSON file that describes a whole conversion. docs/recipes.md describes every key.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
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
  std::string name;  // of the directories moe-<split>-<name>; "": moe-<split>, of the only one
  std::vector<std::string> splits;  // the names of those that it is for; none: all
  RouteTrainOptions options;

  bool Serves(const RecipeSplit& split) const;
};

struct Recipe {
  std::string name;   // the file's name without ".json"
  std::string job;    // of the recipe's jobs (pipeline/recipe_jobs.h); "" where it is the only one
  std::string model;  // dense checkpoint directory
  std::string data;   // directory of the tasks' data files; "": beside each task file
  std::optional<SparsifyOptions> sparsify;  // before all else
  RecordOptions record;
  std::vector<RecipeSplit> splits;
  std::vector<RecipeRoute> routes = {{}};     // of every split that they serve
  std::optional<CalibrateOptions> calibrate;  // each of these as well, besides what it is without
  EvalOptions eval;
  // What the tasks' metrics may lose, as a share of the dense model's: the ratio that keeps to it
  // is looked for on the split that is recorded. Below 0: none is looked for.
  double max_loss = -1;
  // Samples of a light tuning, for which CheckRecipe adds a calibrate stage; no key of the file.
  std::optional<int64_t> tune;
};

// The options of a stage ("split") that the recipe sets itself, because it connects the stages.
const std::vector<std::string>& SetByRecipe(const std::string& stage);

// The keys that a recipe's reader knows.
inline const std::vector<std::string> kRecipeKeys = {"$schema", "model",   "data",  "sparsify",
                                                     "record",  "split",   "route", "calibrate",
                                                     "eval",    "max_loss"};

// The stages that every recipe has.
inline const std::vector<std::string> kRequiredStages = {"record", "split", "eval"};

// How a recipe is called in messages: "name", "name/job".
std::string CalledName(const Recipe& recipe);

// How a split with these routers is called: "kmeans", "kmeans-paper".
std::string RoutedName(const RecipeSplit& split, const RecipeRoute& route);

// The evaluation that a ratio is looked for by: the recipe's own, of its first selection, on
// examples of the split "train".
EvalOptions HeldOutEval(const Recipe& recipe);

// Reads and checks a recipe; `where` names it in messages. Throws as ReadRecipe.
Recipe ParseRecipe(const Json& json, const std::filesystem::path& where);

// Reads and checks a recipe; relative paths in it are taken from the recipe's own directory.
// Throws Error{kUsage} with file, key, found and wanted; unknown keys name the nearest one, and for
// a file of several jobs.
Recipe ReadRecipe(const std::filesystem::path& path);
// The same for a file of one job or more.
std::vector<Recipe> ReadRecipes(const std::filesystem::path& path);

}  // namespace moefy::pipeline
