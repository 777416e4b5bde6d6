#include "moefy/pipeline/recipe.h"

#include <set>

#include "moefy/base/error.h"
#include "moefy/base/options.h"

namespace moefy::pipeline {
namespace {

std::string FromDirectory(const std::filesystem::path& directory, const std::string& path) {
  return path.empty() ? "" : (directory / path).lexically_normal().string();
}

// The options of one stage. Inputs and outputs are the recipe's to connect: `own` keys are refused.
template <typename Options>
void ReadStage(const JsonObject& object, const std::vector<std::string>& own, Options& options) {
  for (const std::string& key : own) {
    if (object.Has(key)) {
      throw InputError(object.PathOf(key), " may not be set here; the recipe sets it itself");
    }
  }
  ReadOptions(object, options);
  object.RefuseUnknownKeys();
}

std::vector<RecipeSplit> ReadSplits(const JsonObject& recipe) {
  std::vector<RecipeSplit> splits;
  std::set<std::string> names;
  for (const JsonObject& object : recipe.GetObjects("split")) {
    RecipeSplit split;
    split.name = object.GetString("name", "");
    ReadStage(object, {"checkpoint", "dump", "out"}, split.options);
    if (split.name.empty()) split.name = split.options.method;
    if (split.name.find('/') != std::string::npos || !names.insert(split.name).second) {
      throw InputError(object.PathOf("name"), " is ", Quoted(split.name),
                       "; expected a plain name that no other split of the recipe has");
    }
    splits.push_back(std::move(split));
  }
  if (splits.empty()) throw InputError(recipe.PathOf("split"), " is empty; expected at least one");
  return splits;
}

Recipe ParseRecipe(const JsonObject& json, const std::filesystem::path& directory) {
  Recipe recipe;
  const auto resolve = [&](const std::string& path) { return FromDirectory(directory, path); };
  recipe.model = resolve(json.GetString("model", ""));
  recipe.data = resolve(json.GetString("data", ""));
  ReadStage(json.GetObject("record"), {"checkpoint", "data", "out"}, recipe.record);
  recipe.splits = ReadSplits(json);
  if (json.Has("route")) {
    ReadStage(json.GetObject("route"), {"moe", "dump", "out"}, recipe.route);
  }
  if (json.Has("calibrate")) {
    ReadStage(json.GetObject("calibrate"), {"moe", "dense", "data", "out"},
              recipe.calibrate.emplace());
    recipe.calibrate->training.task = resolve(recipe.calibrate->training.task);
  }
  ReadStage(json.GetObject("eval"), {"model", "dense", "data", "samples"}, recipe.eval);
  json.RefuseUnknownKeys();
  for (std::string& task : recipe.record.tasks) task = resolve(task);
  for (std::string& task : recipe.eval.tasks) task = resolve(task);
  recipe.record.text = resolve(recipe.record.text);
  return recipe;
}

}  // namespace

Recipe ReadRecipe(const std::filesystem::path& path) {
  try {
    const Json json = ReadJsonFile(path);
    Recipe recipe = ParseRecipe(JsonObject(json, path.string()), path.parent_path());
    recipe.name = path.stem().string();
    return recipe;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    throw UsageError(error.what());  // a recipe is configuration
  }
}

}  // namespace moefy::pipeline
