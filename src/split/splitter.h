// The table of split methods, which group an FFN's neurons into experts of equal size. A new method
// is one function (split/methods.h) and one line in Splitters(); the property tests then run on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/model/ffn.h"
#include "record/recorded_inputs.h"
#include "split/expert_plan.h"

namespace moefy::split {

struct SplitRequest {
  const model::FfnWeights& ffn;
  int64_t num_experts;
  uint64_t seed;
  int64_t restarts;  // k-means: the best of this many starts
  // k-means: which of Features() it compares.
  std::string features = "auto";
  // What entered the FFN on a corpus. Must be there if NeedsInputs.
  std::optional<record::RecordedInputs> inputs = std::nullopt;
  // The neurons of the same FFN that are not to be split, because they are shared.
  std::optional<model::FfnWeights> beside = std::nullopt;
};

struct Splitter {
  std::string name;         // "kmeans"
  std::string description;  // one line, with its cost
  bool needs_inputs;
  bool takes_features;  // other than "auto"
  ExpertPlan (*split)(const SplitRequest& request);
};

// What k-means may compare. "auto" takes the gate of a gated FFN and W_in of others, "w_in" and
// "gate" take these rows, and "concat" both side by side. These compare directions. "contribution"
// takes the rows of auto, each as long as the neuron's mean contribution (model/contribution.h), so
// that neurons that matter decide where the groups lie.
const std::vector<std::string>& Features();

const std::vector<Splitter>& Splitters();
const Splitter& GetSplitter(const std::string& name);  // Error{kUsage} lists the names

// Throws Error{kUsage} for features that do not exist or that the method does not take.
void CheckFeatures(const Splitter& splitter, const std::string& features);
// Whether recorded inputs are needed: by the method, by what it compares, or to choose shared
// experts.
bool NeedsInputs(const Splitter& splitter, const std::string& features, int64_t num_shared);

// The number of experts from the two ways to ask for it (0: not given). Throws Error{kUsage} when
// neither or both are given, and when the number does not divide num_neurons, naming the nearest
// numbers that do.
int64_t ResolveNumExperts(int64_t num_neurons, int64_t num_experts, int64_t expert_size);

// Throws Error{kUsage} unless at least one expert is not shared.
void CheckNumShared(int64_t num_shared, int64_t num_experts);

}  // namespace moefy::split
