// The table of split methods: each groups an FFN's neurons into experts of equal size.
// Adding one is one file and one line in Splitters(); the property tests then run on it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/model/ffn.h"
#include "moefy/split/expert_plan.h"

namespace moefy::split {

struct SplitRequest {
  const model::FfnWeights& ffn;
  int64_t num_experts;
  uint64_t seed;
  int64_t restarts;  // k-means: the best of this many starts
};

struct Splitter {
  std::string name;         // "kmeans"
  std::string description;  // one line, with its cost
  ExpertPlan (*split)(const SplitRequest& request);
};

const std::vector<Splitter>& Splitters();
const Splitter& GetSplitter(const std::string& name);  // Error{kUsage} lists the names

// Number of experts from the two ways of asking (0: not given). Error{kUsage} when neither or both
// are given, or when d_ff does not divide: names the nearest numbers that do.
int64_t ResolveNumExperts(int64_t num_neurons, int64_t num_experts, int64_t expert_size);

}  // namespace moefy::split
