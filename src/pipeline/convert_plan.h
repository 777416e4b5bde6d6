// What a conversion would do, told from headers and sizes alone. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "pipeline/check_recipe.h"

namespace moefy::pipeline {

struct ConvertPlan {
  Inspection model;
  struct Output {
    std::string path;
    uint64_t num_bytes;  // an estimate from above
  };
  std::vector<Output> outputs;
  uint64_t peak_memory_bytes = 0;  // an estimate
  std::vector<std::string> stages;
};

ConvertPlan PlanConvert(const CheckedRecipe& checked, const std::filesystem::path& out);

}  // namespace moefy::pipeline
