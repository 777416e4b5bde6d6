// Finds all that can be known to be wrong with a recipe before anything is run or written.
#pragma once

#include <optional>

#include "base/json.h"
#include "moefy/io/checkpoint.h"
#include "pipeline/inspect.h"
#include "pipeline/recipe.h"

namespace moefy::pipeline {

// A recipe that is known to make sense, and its model, opened.
struct CheckedRecipe {
  Recipe recipe;
  io::Checkpoint model;
  Inspection inspection;
  std::optional<Json> made;  // its JSON, where nobody wrote it
};

// Looks at the options of every stage, at the tasks' files and at the model's headers, and at no
// data files but those that a light tuning counts, whose stage it adds. Throws Error{kUsage} naming
// recipe and stage, Error{kInput} for a model that does not suit. `opened` is the recipe's model,
// if it is open already.
CheckedRecipe CheckRecipe(Recipe recipe,
                          const std::optional<io::Checkpoint>& opened = std::nullopt);

}  // namespace moefy::pipeline
