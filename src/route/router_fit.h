// How each kind of router is found from recorded inputs and their targets.
#pragma once

#include <functional>
#include <memory>

#include "route/ffn_plan.h"
#include "route/router_trainer.h"

namespace moefy::route {

struct RouterBatch {
  at::Tensor x, target;  // [tokens, hidden], [tokens, experts] in [0, 1]
};

struct FitRequest {
  const model::FfnWeights& ffn;
  int64_t num_experts;
  int64_t num_batches;                             // batches that hold different tokens
  std::function<RouterBatch(int64_t pass)> batch;  // what pass 0, 1, ... learns from
  std::function<at::Tensor(int64_t pass)> inputs;  // batch(pass).x, which is cheap without targets
  // A router is chosen by the share of held_target that the experts of `rule` catch.
  at::Tensor held_x, held_target;
  SelectionRule rule;
  const RouterTrainOptions& options;
};

struct Fitted {
  std::unique_ptr<Router> router;
  int64_t best_epoch = 0;
};

// Finds a router of the kind options.router.
Fitted FitRouter(const FitRequest& request);

// Keeps the router that caught most, and the epoch at which it came.
class BestRouter {
 public:
  explicit BestRouter(const FitRequest& request) : request_(request) {}
  void Offer(std::unique_ptr<Router> router, int64_t epoch);
  int64_t epoch() const { return fitted_.best_epoch; }
  Fitted Take() { return std::move(fitted_); }

 private:
  const FitRequest& request_;
  Fitted fitted_;
  double caught_ = 0;
};

// The share of `target` that the experts of each token catch; 1 where the target is 0. scores and
// target [tokens, experts]; the rule has no threshold.
double CaughtShare(const at::Tensor& scores, const at::Tensor& target, const SelectionRule& rule);

}  // namespace moefy::route
