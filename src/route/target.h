// Targets say how much an expert matters to an input: oracles know it, routers learn to predict it.
// Adding a target is one function and one line in Targets(). Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "moefy/model/ffn.h"

namespace moefy::route {

struct Target {
  std::string name;    // "mass", "output-norm", "deviation"
  std::string oracle;  // the selection that knows it: "oracle", "oracle-output", ...
  std::string description;
  // Turns what enters W_out, neurons [tokens, neurons], into what each expert is worth, [tokens,
  // experts], not negative. stand_in [experts, hidden] is what is added for an expert that does not
  // run; undefined if nothing is.
  at::Tensor (*importance)(const model::FfnWeights& ffn, const at::Tensor& neurons,
                           int64_t num_experts, const at::Tensor& stand_in);
};

// mass: the sum of |activation| per expert. With ReLU that is the paper's sum of positive
// activations (MoEfication, arXiv 2110.01786, section 3.2); where neurons go negative, as with GELU
// and gates, the negative ones move the output just as much. output-norm: the L2 norm of what the
// expert adds to the output (D2DMoE, arXiv 2310.04361), which also sees W_out. deviation: the L2
// norm of the difference between what the expert adds and what stands in for it; output-norm where
// nothing does.
const std::vector<Target>& Targets();
const Target& GetTarget(const std::string& name);  // Error{kUsage} lists the names

// x [tokens, hidden] -> [tokens, experts]. `ffn` is permuted: expert e owns the e-th run of
// neurons.
at::Tensor Importance(const Target& target, const model::FfnWeights& ffn, const at::Tensor& x,
                      int64_t num_experts, const at::Tensor& stand_in = {});

}  // namespace moefy::route
