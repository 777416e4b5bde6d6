// The presets of split: ours, and the halves that split of the field's methods. Values,
// thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moefy::pipeline {

struct SplitPreset {
  const char* name;
  const char* method;
  int64_t num_experts, expert_size;  // one of them is 0
  int64_t shared = 0;
  std::vector<double> shared_range = {};
  const char* shared_by = nullptr;
  int64_t gated_expert_size = 0;  // of gated FFNs without silent neurons, where it differs
};

const std::vector<SplitPreset>& SplitPresets();
const SplitPreset& GetSplitPreset(const std::string& name);  // Error{kUsage} lists the names

}  // namespace moefy::pipeline
