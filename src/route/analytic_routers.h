// Routers that need no data: those made from the weights alone, and the bounds. Thread-safety: see
// route/router.h.
#pragma once

#include <memory>
#include <string>

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
  RouterForm form() const override { return RouterForm::kCosine; }
  std::vector<at::Tensor> Parameters() const override { return {centers_}; }

 private:
  at::Tensor centers_;
};

// Scores an expert by the magnitude that one of its neurons, one that stands for all, puts into
// W_out. Source: CMoE (arXiv 2502.04416), section 3.3.
class RepresentativeRouter final : public Router {
 public:
  // w [matrices, experts, hidden] (gate first where gated), bias [matrices, experts]; `name` says
  // how the neurons were found: "representative", by their weights, or "exemplar", by what they do.
  RepresentativeRouter(std::string name, at::Tensor w, at::Tensor bias,
                       model::Activation activation);
  // Of these neurons, I64 [experts].
  static std::unique_ptr<Router> Of(std::string name, const model::FfnWeights& ffn,
                                    const at::Tensor& neurons);
  std::string name() const override { return name_; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  std::vector<at::Tensor> Parameters() const override { return {w_, bias_}; }

 private:
  std::string name_;
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

// The mean, per expert, of the rows whose products decide whether its neurons fire, W_gate's if
// gated, and of their biases: w [experts, hidden], b [experts]. What they score is the mean of the
// products before the activation. Source: ExpertWeaver (arXiv 2602.15521), section 3.3.
struct MeanRows {
  at::Tensor w, b;
};
MeanRows MeanDecidingRows(const model::FfnWeights& ffn, int64_t num_experts);

// The neuron of each expert whose row is nearest its center. I64 [experts], indices of neurons.
at::Tensor RepresentativeNeurons(const model::FfnWeights& ffn, int64_t num_experts);

}  // namespace moefy::route
