#include "pipeline/recipe.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/options.h"
#include "moefy/base/error.h"
#include "pipeline/recipe_jobs.h"
#include "task/task_spec.h"

namespace moefy::pipeline {
namespace {

std::string FromDirectory(const std::filesystem::path& directory, const std::string& path) {
  return path.empty() ? "" : (directory / path).lexically_normal().string();
}

// Reads the options of one stage.
template <typename Options>
void ReadStage(const JsonObject& object, const char* stage, Options& options) {
  for (const std::string& key : SetByRecipe(stage)) {
    if (object.Has(key)) {
      throw InputError(object.PathOf(key), " may not be set here; the recipe sets it itself");
    }
  }
  ReadOptions(object, options);
  object.RefuseUnknownKeys();
}

// Checks a name, which becomes part of a directory's name.
void CheckName(const JsonObject& object, const std::string& name, const char* what,
               std::set<std::string>& taken) {
  if (name.find('/') == std::string::npos && taken.insert(name).second) return;
  throw InputError(object.PathOf("name"), " is ", Quoted(name),
                   "; expected a plain name that no other ", what, " of the recipe has");
}

std::vector<RecipeSplit> ReadSplits(const JsonObject& recipe) {
  std::vector<RecipeSplit> splits;
  std::set<std::string> names;
  for (const JsonObject& object : recipe.GetObjects("split")) {
    RecipeSplit split;
    split.name = object.GetString("name", "");
    ReadStage(object, "split", split.options);
    if (split.name.empty()) split.name = split.options.preset;
    if (split.name.empty()) split.name = split.options.method.value_or("kmeans");
    CheckName(object, split.name, "split", names);
    splits.push_back(std::move(split));
  }
  if (splits.empty()) throw InputError(recipe.PathOf("split"), " is empty; expected at least one");
  return splits;
}

// "route" is an object, or an array of objects with names.
// Reads what routes have besides the options of their stage.
void ReadRoute(const JsonObject& object, std::set<std::string>& names, RecipeRoute& route) {
  if (object.Has("splits")) route.splits = object.GetStrings("splits");
  ReadStage(object, "route", route.options);
  CheckName(object, route.name, "route", names);
}

// Throws Error{kInput} for a route of a split that the recipe lacks, and for a split without one.
void CheckServes(const JsonObject& recipe, const std::vector<RecipeSplit>& splits,
                 const std::vector<RecipeRoute>& routes) {
  std::vector<std::string> names;
  for (const RecipeSplit& split : splits) {
    names.push_back(split.name);
    if (std::ranges::any_of(routes, [&](const RecipeRoute& r) { return r.Serves(split); }))
      continue;
    throw InputError(recipe.PathOf("route"), " has no route for the split ", Quoted(split.name));
  }
  for (const RecipeRoute& route : routes) {
    for (const std::string& name : route.splits) {
      if (std::ranges::find(names, name) != names.end()) continue;
      throw InputError(recipe.PathOf("route"), " is for a split ", Quoted(name),
                       ", which the recipe lacks; it has ", Join(names), DidYouMean(name, names));
    }
  }
}

std::vector<RecipeRoute> ReadRoutes(const JsonObject& recipe, bool is_array) {
  std::vector<RecipeRoute> routes;
  if (!is_array) {
    routes.emplace_back();
    if (!recipe.Has("route")) return routes;
    const JsonObject object = recipe.GetObject("route");
    routes[0].name = object.GetString("name", "");
    std::set<std::string> none;
    ReadRoute(object, none, routes[0]);
    return routes;
  }
  std::set<std::string> names;
  for (const JsonObject& object : recipe.GetObjects("route")) {
    RecipeRoute route;
    route.name = object.GetString("name", "");
    if (route.name.empty()) route.name = object.GetString("preset", route.options.preset);
    ReadRoute(object, names, route);
    routes.push_back(std::move(route));
  }
  if (routes.empty()) throw InputError(recipe.PathOf("route"), " is empty; expected at least one");
  return routes;
}

Recipe ReadStages(const JsonObject& json, bool routes_are_array,
                  const std::filesystem::path& directory) {
  Recipe recipe;
  const auto resolve = [&](const std::string& path) { return FromDirectory(directory, path); };
  json.Has("$schema");  // is for editors
  recipe.model = resolve(json.GetString("model", ""));
  recipe.data = resolve(json.GetString("data", ""));
  if (json.Has("sparsify")) {
    SparsifyOptions& sparsify = recipe.sparsify.emplace();
    ReadStage(json.GetObject("sparsify"), "sparsify", sparsify);
    sparsify.training.task = resolve(sparsify.training.task);
    sparsify.text = resolve(sparsify.text);
  }
  ReadStage(json.GetObject("record"), "record", recipe.record);
  recipe.splits = ReadSplits(json);
  recipe.routes = ReadRoutes(json, routes_are_array);
  CheckServes(json, recipe.splits, recipe.routes);
  if (json.Has("calibrate")) {
    ReadStage(json.GetObject("calibrate"), "calibrate", recipe.calibrate.emplace());
    recipe.calibrate->training.task = resolve(recipe.calibrate->training.task);
  }
  ReadStage(json.GetObject("eval"), "eval", recipe.eval);
  if (json.Has("max_loss")) recipe.max_loss = json.GetNumber("max_loss", 0, 1);
  json.RefuseUnknownKeys();
  for (const std::string& key : json.Keys()) {
    MOEFY_CHECK(std::ranges::find(kRecipeKeys, key) != kRecipeKeys.end());
  }
  for (std::string& task : recipe.record.tasks) task = resolve(task);
  for (std::string& task : recipe.eval.tasks) task = resolve(task);
  recipe.record.text = resolve(recipe.record.text);
  return recipe;
}

}  // namespace

bool RecipeRoute::Serves(const RecipeSplit& split) const {
  return splits.empty() || std::ranges::find(splits, split.name) != splits.end();
}

const std::vector<std::string>& SetByRecipe(const std::string& stage) {
  static const std::map<std::string, std::vector<std::string>> kOwn = {
      {"sparsify", {"checkpoint", "data", "out"}},
      {"record", {"checkpoint", "data", "out"}},
      {"split", {"checkpoint", "dump", "out", "parts", "shard"}},
      {"route", {"moe", "dump", "out", "parts", "shard"}},
      {"calibrate", {"moe", "dense", "data", "out"}},
      {"eval", {"model", "dense", "data", "samples"}}};
  return kOwn.at(stage);
}

std::string CalledName(const Recipe& recipe) {
  return recipe.job.empty() ? recipe.name : recipe.name + "/" + recipe.job;
}

std::string RoutedName(const RecipeSplit& split, const RecipeRoute& route) {
  return route.name.empty() ? split.name : split.name + "-" + route.name;
}

EvalOptions HeldOutEval(const Recipe& recipe) {
  constexpr int64_t kExamples = 1000, kWindows = 40;  // windows of a text are long
  EvalOptions options = recipe.eval;
  options.split = "train";
  options.selections.resize(std::min<size_t>(options.selections.size(), 1));
  bool texts = false;
  for (const std::string& task : options.tasks) {
    texts = texts || task::IsOnlyText(task::ReadTaskSpec(task).kind);
  }
  const int64_t most = texts ? kWindows : kExamples;
  options.limit = options.limit > 0 ? std::min(options.limit, most) : most;
  options.fail_if = "";
  return options;
}

Recipe ParseRecipe(const Json& json, const std::filesystem::path& where) {
  try {
    if (json.is_object() && !json.contains("record") && !json.contains("split")) {
      throw UsageError(where, " is no recipe: it has neither record nor split; without a recipe, ",
                       "`moefy convert CHECKPOINT --task FILE` makes one");
    }
    const auto route = json.find("route");
    Recipe recipe = ReadStages(JsonObject(json, where.string()),
                               route != json.end() && route->is_array(), where.parent_path());
    recipe.name = where.stem().string();
    return recipe;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    throw UsageError(error.what());  // whatever the reader says, a recipe is configuration
  }
}

std::vector<Recipe> ReadRecipes(const std::filesystem::path& path) {
  Json json;
  std::vector<RecipeJob> jobs;
  try {
    json = ReadJsonFile(path);
    jobs = ExpandRecipe(json, path.string());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    throw UsageError(error.what());
  }
  std::vector<Recipe> recipes;
  for (const RecipeJob& job : jobs) {
    const std::string where = job.name.empty() ? path.string() : StrCat(path, ", job ", job.name);
    recipes.push_back(ParseRecipe(job.recipe, where));
    recipes.back().name = path.stem().string();
    recipes.back().job = job.name;
  }
  return recipes;
}

Recipe ReadRecipe(const std::filesystem::path& path) {
  std::vector<Recipe> recipes = ReadRecipes(path);
  if (recipes.size() == 1) return std::move(recipes.front());
  throw UsageError(path, " stands for ", recipes.size(), " conversions; expected one");
}

}  // namespace moefy::pipeline
