// The presets of route-train: ours, and the halves that route of the field's methods. Values,
// thread-safe.
#pragma once

#include <string>
#include <vector>

#include "route/router_trainer.h"
#include "split/moe_checkpoint.h"

namespace moefy::pipeline {

struct RoutePreset {
  const char* name;
  route::RouterTrainOptions train;           // holds no fit ratios: they are the metric ratio
  std::vector<double> gated_shares = {1.0};  // neuron shares of gated FFNs; others have 1
  // The half of a method that routes wants experts that its other half made.
  const char* split_method = nullptr;  // --method; nullptr: any
  bool single_neurons = false;
  bool gated = false;  // only gated FFNs have what it looks at
};

const std::vector<RoutePreset>& RoutePresets();
const RoutePreset& GetRoutePreset(const std::string& name);  // Error{kUsage} lists the names

// The preset's name, but "first-product" for "best" where experts are single neurons: every other
// router would cost each neuron as much as its first product.
std::string SuitedPreset(const std::string& name, const split::MoeCheckpoint& moe);

// Throws Error{kUsage} for experts that the preset has no routers for.
void CheckGoesWith(const std::string& preset, const split::MoeCheckpoint& moe);

}  // namespace moefy::pipeline
