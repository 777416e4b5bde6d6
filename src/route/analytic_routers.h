// Routers that need no data: those made from the weights alone, and the bounds. Thread-safety: see
// route/router.h.
#pragma once

#include "route/router.h"
#include "route/target.h"

namespace moefy::route {

// Scores an expert by the cosine of the input with its center (ExpertCenters).
class SimilarityRouter final : public Router {
 public:
  explicit SimilarityRouter(at::Tensor centers);  // [experts, hidden]
  std::string name() const override { return "similarity"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  std::vector<at::Tensor> Parameters() const override { return {centers_}; }

 private:
  at::Tensor centers_;
};

// Scores an expert by the magnitude that one of its neurons, the one nearest the center, puts into
// W_out.
// Source: CMoE (arXiv 2502.04416), section 3.3.
class RepresentativeRouter final : public Router {
 public:
  // w [matrices, experts, hidden] (gate first where gated), bias [matrices, experts]
  RepresentativeRouter(at::Tensor w, at::Tensor bias, model::Activation activation);
  std::string name() const override { return "representative"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  std::vector<at::Tensor> Parameters() const override { return {w_, bias_}; }

 private:
  at::Tensor w_, bias_;
  model::Activation activation_;
};

// Scores experts by uniform noise: the floor. Deterministic in its seed and the sequence of calls.
class RandomRouter final : public Router {
 public:
  RandomRouter(int64_t num_experts, uint64_t seed);
  std::string name() const override { return "random"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override { return 0; }

 private:
  int64_t num_experts_;
  at::Generator generator_;
};

// Scores an expert by its true importance, computing the dense FFN: the upper bound.
class OracleRouter final : public Router {
 public:
  // ffn permuted as the plan says; `stand_in` as Importance wants it.
  OracleRouter(model::FfnWeights ffn, int64_t num_experts, const Target& target = Targets().front(),
               at::Tensor stand_in = {});
  std::string name() const override { return target_.oracle; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override { return 0; }

 private:
  model::FfnWeights ffn_;
  int64_t num_experts_;
  const Target& target_;
  at::Tensor stand_in_;
};

// The mean, per expert, of the L2-normalised rows that decide whether its neurons fire: rows of
// W_gate if gated, else of W_in. [experts, hidden].
at::Tensor ExpertCenters(const model::FfnWeights& ffn, int64_t num_experts);

// The neuron of each expert whose row is nearest its center. I64 [experts], indices of neurons.
at::Tensor RepresentativeNeurons(const model::FfnWeights& ffn, int64_t num_experts);

}  // namespace moefy::route
