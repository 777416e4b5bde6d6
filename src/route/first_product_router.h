// The router that computes one of the FFN's own first products for all neurons, and scores them by
// it: the rest of a neuron's work is done only where it counts. Source: CATS (arXiv 2404.08763)
// does so with the gate; here either product may come first. docs/routing.md has measurements.
// Thread-safety: see route/router.h.
#pragma once

#include <functional>

#include "route/router_fit.h"

namespace moefy::route {

class FirstProductRouter final : public Router {
 public:
  // Gives the FFN whose product is computed, permuted as its plan says.
  using ReadFfn = std::function<model::FfnWeights()>;

  // worth [matrices, neurons], the gate's row first where there is one: what each unit of the
  // product's magnitude adds to the output, on the mean; a row of zeros for the product that does
  // not come first. `read` is called when scores are first asked for.
  FirstProductRouter(at::Tensor worth, int64_t num_experts, int64_t hidden, ReadFfn read);

  std::string name() const override { return kFirstProduct; }
  // An expert scores the sum of its neurons' |product| * worth. The gate's product, and that of an
  // FFN without a gate, goes through the activation first.
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  void SetFfn(const model::FfnWeights& ffn) override { ffn_ = ffn; }
  std::vector<at::Tensor> Parameters() const override { return {worth_}; }

 private:
  at::Tensor worth_;
  int64_t num_experts_, hidden_;
  ReadFfn read_;
  std::optional<model::FfnWeights> ffn_;  // once it was read
};

// The index of the row of `worth` that is in use: 1 where the product without the activation, the
// "up" one of a gated FFN, comes first, else 0.
int64_t FirstProductIndex(const at::Tensor& worth);

// Measures what each neuron is worth, and takes the product that loses less of the held-out output.
// With options.product kGateAlone the gate comes first, and every neuron is worth the same.
Fitted FitFirstProduct(const FitRequest& request);

}  // namespace moefy::route
