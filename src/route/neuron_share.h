// Only some neurons of the experts that run go through W_out: those that contribute most. The work
// that this saves pays for more experts, so that the whole work stays what it was. Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace moefy::route {

// What an FFN runs for a token: experts, and the share of their neurons that goes through W_out.
struct FfnPortion {
  double num_experts = 0;
  double neuron_share = 1;
};

// What runs for the work of `work` whole experts of `num_experts`, shared ones counted. Where only
// `neuron_share` of an expert's neurons goes through W_out, which is one of its `num_matrices`
// matrices (2, gated 3), more experts run than that. If the work would pay for more experts than
// exist, all run and the share is raised. With `whole_experts` the number of experts is rounded
// down, and the share is raised by what that leaves. The work is always the one given; with a share
// of 1, and for all of the work, so is the number of experts.
FfnPortion PortionFor(double work, double neuron_share, int64_t num_experts, int64_t num_matrices,
                      bool whole_experts);

// The contribution, |activation| |row of W_out|, that a given share of the running neurons reaches.
// It depends on how many experts run: experts that come later contribute less.
struct NeuronThresholds {
  at::Tensor tables;  // F32 [ratios, 101]: ThresholdTable where kCurveRatios of the experts run
  at::Tensor norms;   // F32 [neurons]: lengths of the rows of W_out with which that was measured

  // The least |activation| with which a neuron goes through W_out, [neurons]; undefined for a share
  // of 1.
  at::Tensor MinMagnitude(double expert_ratio, double neuron_share) const;
};

}  // namespace moefy::route
