// A recipe file may stand for many conversions, its jobs: one for each of its "models" and each
// combination of the options in its "matrix". A job is a recipe of one conversion.
// Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace moefy::pipeline {

struct RecipeJob {
  std::string name;  // "t5-split.expert_size=8"; "" where the recipe is of one conversion
  Json recipe;
};

// The jobs of a recipe's JSON, in order: models first, then the matrix, its last key fastest.
// `where` begins every message. Throws Error{kInput} for models and a matrix that make no sense;
// the recipes themselves are read later (pipeline/recipe.h).
std::vector<RecipeJob> ExpandRecipe(const Json& json, const std::string& where);

// Whether a name is one that a pattern of `--only` means: "*" and "?" stand for any letters.
bool MatchesPattern(const std::string& name, const std::string& pattern);

}  // namespace moefy::pipeline
