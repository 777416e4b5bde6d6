#include "pipeline/recipe_jobs.h"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "moefy/base/error.h"

namespace moefy::pipeline {
namespace {

constexpr const char* kModels = "models";
constexpr const char* kMatrix = "matrix";
constexpr size_t kMaxJobs = 10000;
constexpr size_t kMaxNameBytes = 200;  // a directory has the name

// The letters that a path or a pattern of --only would take for something else.
constexpr std::string_view kNotInNames = "/\\*?[],";

std::string Plain(std::string text) {
  for (char& c : text) {
    const bool bad = static_cast<unsigned char>(c) <= ' ' || c == 0x7f ||
                     kNotInNames.find(c) != std::string_view::npos;
    if (bad) c = '_';
  }
  return text;
}

// Lays `changes` over a recipe: objects key by key, everything else in place of what is there.
void LayOver(const Json& changes, Json& recipe) {
  for (const auto& [key, value] : changes.items()) {
    if (value.is_object() && recipe.contains(key) && recipe[key].is_object()) {
      LayOver(value, recipe[key]);
    } else {
      recipe[key] = value;
    }
  }
}

// "path/to/t5/" -> "t5"
std::string LastPart(const std::string& path) {
  const std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

// One job for each model; without "models" one that has no name yet.
std::vector<RecipeJob> ForEachModel(const Json& json, const std::string& where) {
  Json base = json;
  base.erase(kModels);
  base.erase(kMatrix);
  if (!json.contains(kModels)) return {{"", std::move(base)}};
  const std::string here = where + ": " + kModels;
  if (json.contains("model")) {
    throw InputError(where, ": has both model and models; expected one of them");
  }
  const Json& models = json[kModels];
  if (!models.is_array() || models.empty()) {
    throw InputError(here, " is ", Shortened(models.dump(), 80),
                     "; expected a list of checkpoints, or of objects with a \"model\"");
  }
  std::vector<RecipeJob> jobs;
  for (size_t i = 0; i < models.size(); ++i) {
    const Json entry = models[i].is_string() ? Json{{"model", models[i]}} : models[i];
    const JsonObject object(entry, StrCat(here, "[", i, "]"));
    RecipeJob job{object.GetString("name", Plain(LastPart(object.GetString("model")))), base};
    if (job.name.empty() || job.name.starts_with('.') || job.name != Plain(job.name)) {
      throw InputError(object.PathOf("name"), " is ", Quoted(job.name),
                       "; expected a name that begins with no point and has neither blanks nor "
                       "any of ",
                       kNotInNames);
    }
    Json changes = entry;
    changes.erase("name");
    for (const char* key : {kModels, kMatrix}) {
      if (object.Has(key)) throw InputError(object.PathOf(key), " may only stand at the top");
    }
    LayOver(changes, job.recipe);
    jobs.push_back(std::move(job));
  }
  return jobs;
}

// Sets "stage.option" of a recipe; of a list of splits or routes, in each of them.
void SetOption(const std::string& key, const Json& value, Json& recipe) {
  const size_t dot = key.find('.');
  if (dot == std::string::npos) {
    recipe[key] = value;
    return;
  }
  Json& stage = recipe[key.substr(0, dot)];
  const std::string option = key.substr(dot + 1);
  if (!stage.is_array()) {
    if (stage.is_null()) stage = Json::object();
    if (stage.is_object()) stage[option] = value;
    return;  // what else it may be, the recipe's reader refuses
  }
  for (Json& each : stage) {
    if (each.is_object()) each[option] = value;
  }
}

void CheckMatrixKey(const std::string& key, const std::string& where) {
  static const std::vector<std::string> kStages = {"sparsify", "record",    "split",
                                                   "route",    "calibrate", "eval"};
  const size_t dot = key.find('.');
  const std::string stage = key.substr(0, dot);
  const bool is_option = dot != std::string::npos && dot + 1 < key.size() &&
                         std::ranges::find(kStages, stage) != kStages.end();
  if (is_option || key == "max_loss") return;
  throw InputError(where, ": unknown key ", Quoted(key), DidYouMean(stage, kStages),
                   "; expected a stage and an option, as in 'split.expert_size', or 'max_loss'");
}

// Multiplies the jobs by the values of one key.
std::vector<RecipeJob> Times(const std::vector<RecipeJob>& jobs, const std::string& key,
                             const Json& values, const std::string& where) {
  if (!values.is_array() || values.empty()) {
    throw InputError(where, ": ", key, " is ", Shortened(values.dump(), 80),
                     "; expected a list of values, one for each job");
  }
  std::vector<RecipeJob> product;
  for (const RecipeJob& job : jobs) {
    for (const Json& value : values) {
      if (!value.is_primitive() || value.is_null()) {
        throw InputError(where, ": ", key, " has the value ", Shortened(value.dump(), 80),
                         "; expected numbers, texts, true or false");
      }
      const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      const std::string separator = job.name.empty() ? "" : "-";
      product.push_back({job.name + separator + Plain(key + "=" + text), job.recipe});
      SetOption(key, value, product.back().recipe);
      if (product.size() > kMaxJobs) {
        throw InputError(where, " makes more than ", kMaxJobs, " jobs");
      }
    }
  }
  return product;
}

}  // namespace

std::vector<RecipeJob> ExpandRecipe(const Json& json, const std::string& where) {
  if (!json.is_object()) return {{"", json}};  // which the reader refuses
  std::vector<RecipeJob> jobs = ForEachModel(json, where);
  if (json.contains(kMatrix)) {
    const JsonObject matrix(json[kMatrix], where + ": " + kMatrix);
    if (json[kMatrix].empty()) throw InputError(where, ": ", kMatrix, " is empty");
    for (const auto& [key, values] : json[kMatrix].items()) {
      CheckMatrixKey(key, where + ": " + kMatrix);
      jobs = Times(jobs, key, values, where + ": " + kMatrix);
    }
  }
  std::set<std::string> taken;
  for (const RecipeJob& job : jobs) {
    if (job.name.size() > kMaxNameBytes) {
      throw InputError(where, ": the job ", Quoted(job.name), " has a name of ", job.name.size(),
                       " bytes; at most ", kMaxNameBytes, " can be a directory's");
    }
    if (taken.insert(job.name).second) continue;
    throw InputError(where, ": two jobs are called ", Quoted(job.name),
                     "; give the models a \"name\" each, and the matrix different values");
  }
  return jobs;
}

bool MatchesPattern(const std::string& name, const std::string& pattern) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

}  // namespace moefy::pipeline
