// What stands in for the experts that do not run, found from recorded inputs.
#pragma once

#include "moefy/route/output_error.h"
#include "moefy/route/router_trainer.h"

namespace moefy::route {

// First the compensation, then W_out with it, then the correction of what is left: each is kept if
// it makes both held-out errors of `sample` smaller on the mean over options.fit_ratios, where each
// ratio counts by what it had lost without (so that ratios that lose little are not spoilt for
// those that lose much); the correction only if more experts for the same work would not be better.
// x [tokens, hidden]: to learn from.
Stand FitStand(Router& router, const model::FfnWeights& ffn, int64_t num_experts,
               const OutputSample& sample, const at::Tensor& x, const TrainOptions& options,
               int64_t num_shared);

}  // namespace moefy::route
