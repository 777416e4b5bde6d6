// The shapes of well-known models' FFNs, to measure on random weights of the same size. Values,
// thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "moefy/model/config.h"

namespace moefy::bench {

struct BenchmarkShape {
  std::string name;
  int64_t hidden = 0;
  int64_t num_neurons = 0;
  int64_t num_experts = 0;
  model::Activation activation = model::Activation::kRelu;
  bool gated = false;
  bool biases = false;
};

// The FFNs of well-known models, cut into experts of 32 neurons where these divide the FFN.
const std::vector<BenchmarkShape>& BenchmarkShapes();
// Throws Error{kUsage} for an unknown name, with the known ones.
const BenchmarkShape& GetBenchmarkShape(const std::string& name);

}  // namespace moefy::bench
