// How each kind of router comes from recorded inputs and their targets.
#pragma once

#include <memory>

#include "moefy/route/router_trainer.h"

namespace moefy::route {

struct FitRequest {
  const model::FfnWeights& ffn;
  int64_t num_experts;
  at::Tensor x, target;            // [tokens, hidden], [tokens, experts] in [0, 1]: to learn from
  at::Tensor held_x, held_target;  // to choose by
  int64_t num_selected;            // by the share of the target that so many experts catch
  const TrainOptions& options;
};

struct Fitted {
  std::unique_ptr<Router> router;
  int64_t best_epoch = 0;
};

// Of the kind options.router.
Fitted FitRouter(const FitRequest& request);

// Share of `target` that the k best-scored experts catch; 1 where there is none. Both
// [tokens, experts].
double CaughtShare(const at::Tensor& scores, const at::Tensor& target, int64_t k);

}  // namespace moefy::route
