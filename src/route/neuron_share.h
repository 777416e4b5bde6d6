// Of the experts that run, only some neurons go through W_out: those that contribute most. What is
// saved pays for more experts, so that the work stays what it was. Pure functions.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace moefy::route {

// What an FFN runs of a token: experts, and the share of their neurons that go through W_out.
struct FfnPortion {
  double num_experts = 0;
  double neuron_share = 1;
};

// For the work of `work` whole experts of `num_experts`, shared ones counted: where only
// `neuron_share` of an expert's neurons go through W_out, which is one of its `num_matrices`
// matrices (2, gated 3), more experts than that. All of them where more than all could run, and
// then a larger share; with `whole_experts` their number is rounded down, and the share larger by
// what that leaves. The work is always the one given; with a share of 1, and for all of the work,
// so is the number.
FfnPortion PortionFor(double work, double neuron_share, int64_t num_experts, int64_t num_matrices,
                      bool whole_experts);

// The contribution of a neuron, |activation| |row of W_out|, that a share of them reaches. It
// depends on how many experts run: those that come later contribute less.
struct NeuronThresholds {
  at::Tensor tables;  // F32 [ratios, 101], ThresholdTable where kCurveRatios of the experts run
  at::Tensor norms;   // F32 [neurons], of the rows of W_out with which that was measured

  // [neurons]: the least |activation| with which a neuron goes through W_out. Undefined for a share
  // of 1.
  at::Tensor MinMagnitude(double expert_ratio, double neuron_share) const;
};

}  // namespace moefy::route
