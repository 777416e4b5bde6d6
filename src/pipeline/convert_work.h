// What a conversion computes, counted from sizes and a sample of its data, and how long that takes
// on a machine of known speed. An estimate: docs/recipes.md says how near it came.
#pragma once

#include <string>
#include <vector>

#include "pipeline/check_recipe.h"

namespace moefy::pipeline {

struct StageWork {
  std::string stage;   // as ConvertStage::name
  double gflop = 0;    // at the speed of a large product of matrices: work of slower kinds is more
  double seconds = 0;  // besides, whatever the machine: reading, packing, writing
};

// Reads the tokenizer and the tasks' data, of which it encodes a sample. Throws as the stages
// would that read them.
std::vector<StageWork> WorkOfStages(const CheckedRecipe& checked);

// How long it takes, and between what it most likely lies.
struct TimeRange {
  double seconds = 0, least = 0, most = 0;
};

// `gflops`: billions of FLOPs per second of a large product of matrices, in F32.
TimeRange EstimateTime(const std::vector<StageWork>& work, double gflops);

}  // namespace moefy::pipeline
