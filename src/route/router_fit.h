// How each kind of router comes from recorded inputs and their targets.
#pragma once

#include <functional>
#include <memory>

#include "route/router_trainer.h"

namespace moefy::route {

struct RouterBatch {
  at::Tensor x, target;  // [tokens, hidden], [tokens, experts] in [0, 1]
};

struct FitRequest {
  const model::FfnWeights& ffn;
  int64_t num_experts;
  int64_t num_batches;                             // that hold different tokens
  std::function<RouterBatch(int64_t pass)> batch;  // what pass 0, 1, ... learns from
  at::Tensor held_x, held_target;                  // to choose by
  int64_t num_selected;                            // by the share of the target that so many catch
  const RouterTrainOptions& options;
  int64_t num_shared = 0;  // of num_selected and of the experts, the first so many
};

struct Fitted {
  std::unique_ptr<Router> router;
  int64_t best_epoch = 0;
};

// Of the kind options.router.
Fitted FitRouter(const FitRequest& request);

// Keeps the router that caught most, and knows at which epoch it came.
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

// By gradient, an epoch per pass.
Fitted FitMlp(const FitRequest& request);
Fitted FitLinear(const FitRequest& request);
Fitted FitRegression(const FitRequest& request);

// Share of `target` that the k experts of each token catch (SelectTopK); 1 where there is none.
// Both [tokens, experts].
double CaughtShare(const at::Tensor& scores, const at::Tensor& target, int64_t k,
                   int64_t num_shared);

}  // namespace moefy::route
