// The table of split methods: each groups an FFN's neurons into experts of equal size.
// Adding one is one file and one line in Splitters(); the property tests then run on it.
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
  // k-means: what of a neuron is compared, of Features().
  std::string features = "auto";
  // What entered the FFN on a corpus; there wherever NeedsInputs.
  std::optional<record::RecordedInputs> inputs = std::nullopt;
};

struct Splitter {
  std::string name;         // "kmeans"
  std::string description;  // one line, with its cost
  bool needs_inputs;
  bool takes_features;  // other than "auto"
  ExpertPlan (*split)(const SplitRequest& request);
};

// auto: the gate of a gated FFN, else W_in. w_in, gate: these rows. concat: both side by side.
// contribution: as auto, but a neuron's row is as long as its mean contribution
// (model/contribution.h), so that those that matter decide where the groups lie.
// All but the last compare directions.
const std::vector<std::string>& Features();

const std::vector<Splitter>& Splitters();
const Splitter& GetSplitter(const std::string& name);  // Error{kUsage} lists the names

// Error{kUsage} for features that do not exist or that the method does not take.
void CheckFeatures(const Splitter& splitter, const std::string& features);
// True when the method, what it compares, or the choice of shared experts is made from recorded
// inputs.
bool NeedsInputs(const Splitter& splitter, const std::string& features, int64_t num_shared);

// Number of experts from the two ways of asking (0: not given). Error{kUsage} when neither or both
// are given, or when d_ff does not divide: names the nearest numbers that do.
int64_t ResolveNumExperts(int64_t num_neurons, int64_t num_experts, int64_t expert_size);

// Error{kUsage} unless at least one of the experts is left that is not shared.
void CheckNumShared(int64_t num_shared, int64_t num_experts);

}  // namespace moefy::split
