// The output fit finds the W_out that makes the chosen experts' output as near to the dense one as
// linear algebra can: ridge regression (least squares) towards the W_out that is there.
// Thread-safety: one caller at a time.
#pragma once

#include <ATen/ATen.h>

#include "moefy/model/ffn.h"
#include "route/expert_mask.h"

namespace moefy::route {

class OutputFit {
 public:
  // compensation [experts, hidden] or undefined: what is added besides.
  OutputFit(const model::FfnWeights& ffn, const at::Tensor& compensation);
  // neurons [tokens, neurons]; these tokens count `weight` times.
  void Add(const at::Tensor& neurons, const ExpertMask& mask, double weight = 1);
  // The new W_out, [neurons, hidden]. `strength` is the penalty's, over the mean square of a neuron
  // that runs.
  at::Tensor Solve(double strength) const;

 private:
  const at::Tensor w_out_, compensation_;
  at::Tensor gram_;   // [neurons, neurons] of the neurons that ran, its lower blocks
  at::Tensor right_;  // [neurons, hidden] of those with what is missing
};

}  // namespace moefy::route
