// All that can be known to be wrong with a recipe before anything is run or written.
#pragma once

#include "pipeline/inspect.h"
#include "pipeline/recipe.h"

namespace moefy::pipeline {

// Looks at the options of every stage, at the tasks' files and at the model's headers, which it
// returns. Throws Error{kUsage} naming recipe and stage, Error{kInput} for a model that does not
// suit; data files are not looked at.
Inspection CheckRecipe(const Recipe& recipe);

}  // namespace moefy::pipeline
