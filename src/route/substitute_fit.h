// Finds, from recorded inputs, what stands in for the experts that do not run.
#pragma once

#include "route/ffn_plan.h"
#include "route/output_error.h"
#include "route/router_trainer.h"

namespace moefy::route {

struct FittedSubstitute {
  Substitute substitute;
  double neuron_share = 1;
};

// Finds first the compensation, then W_out beside it (the output fit), then the correction of what
// is still missing, for each of options.neuron_shares. A part is kept if it makes both held-out
// errors of `sample` smaller on the mean over options.fit_ratios, where each ratio is weighted by
// its error before the fit: so ratios that lose little are not spoilt for those that lose much. The
// correction is kept only if more experts for the same work would not be better. Of the neuron
// shares, the first is kept, or a later one that makes both errors smaller still.
// x [tokens, hidden]: inputs to learn from. `planner` has a neuron_share of 1 and the thresholds.
FittedSubstitute FitSubstitute(Router& router, const model::FfnWeights& ffn,
                               const OutputSample& sample, const at::Tensor& x,
                               const RouterTrainOptions& options, const FfnPlanner& planner);

}  // namespace moefy::route
