// The recipe for a model that has none: what the measurements of docs/results say of its kind.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/io/checkpoint.h"

namespace moefy::pipeline {

struct DefaultRecipe {
  Json json;        // as in a recipe file, with absolute paths
  std::string why;  // what was chosen, and by which property of the model: one line for people
};

// For a dense model with a config.json. The tasks must have a split "train" to record and "eval" to
// measure on; `data` as in Recipe. Throws Error{kUsage} or Error{kInput} as their readers do.
// `path` is where the model lies.
DefaultRecipe MakeDefaultRecipe(const std::string& path, const io::Checkpoint& model,
                                const std::vector<std::string>& tasks, const std::string& data);

}  // namespace moefy::pipeline
