// What stands in for the experts that do not run, found from recorded inputs.
#pragma once

#include "route/expert_mask.h"
#include "route/output_error.h"
#include "route/router_trainer.h"

namespace moefy::route {

// First the compensation, then W_out with it, then the correction of what is left: each is kept if
// it makes both held-out errors of `sample` smaller on the mean over options.fit_ratios, where each
// ratio counts by what it had lost without (so that ratios that lose little are not spoilt for
// those that lose much); the correction only if more experts for the same work would not be better.
// All of that with each of options.neuron_shares; what is kept is the first, or a later one that
// makes both errors smaller still. x [tokens, hidden]: to learn from. `runner` is that of whole
// experts, with the thresholds of neurons.
struct FittedSubstitute {
  Substitute substitute;
  double neuron_share = 1;
};
FittedSubstitute FitSubstitute(Router& router, const model::FfnWeights& ffn,
                               const OutputSample& sample, const at::Tensor& x,
                               const RouterTrainOptions& options, const Runner& runner);

}  // namespace moefy::route
