// The JSON Schema of recipes, made from the options that the commands declare, so that the reader
// and the schema know the same keys. configs/schema/recipe.json is a copy; a test keeps it fresh.
// Pure function.
#pragma once

#include "base/json.h"

namespace moefy::pipeline {

Json RecipeSchema();

}  // namespace moefy::pipeline
