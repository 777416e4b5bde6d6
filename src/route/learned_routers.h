// Routers that are found from recorded inputs. Thread-safety: see route/router.h.
#pragma once

#include "route/router.h"

namespace moefy::route {

// The paper's router: w2 tanh(w1 x / |x|). Source: MoEfication (arXiv 2110.01786), section 3.2.
class MlpRouter final : public Router {
 public:
  MlpRouter(at::Tensor w1, at::Tensor w2);  // [experts, hidden], [experts, experts]
  std::string name() const override { return "mlp"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  RouterForm form() const override { return RouterForm::kMlp; }
  std::vector<at::Tensor> Parameters() const override { return {w1_, w2_}; }

 private:
  at::Tensor w1_, w2_;
};

// w x + b: half of an MLP's work. It sees the input's length, which a bias makes matter.
class LinearRouter final : public Router {
 public:
  // [experts, hidden], [experts]; `name` says how they were found: "linear", "ridge", "unbiased",
  // "gate-rows".
  LinearRouter(std::string name, at::Tensor w, at::Tensor b);
  std::string name() const override { return name_; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  RouterForm form() const override { return RouterForm::kLinear; }
  std::vector<at::Tensor> Parameters() const override { return {w_, b_}; }

 private:
  std::string name_;
  at::Tensor w_, b_;
};

// up (down x) + b: for FFNs with so many experts that a full w costs too much.
class LowRankRouter final : public Router {
 public:
  LowRankRouter(at::Tensor down, at::Tensor up, at::Tensor b);  // [rank, hidden], [experts, rank]
  std::string name() const override { return "low-rank"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  std::vector<at::Tensor> Parameters() const override { return {down_, up_, b_}; }

 private:
  at::Tensor down_, up_, b_;
};

// w2 relu(w1 x + b1) + b2 of a width of its own, which regresses the target (squared error).
// Source: D2DMoE (arXiv 2310.04361), section 3.3.
class RegressionRouter final : public Router {
 public:
  // [width, hidden], [width], [experts, width], [experts]
  RegressionRouter(at::Tensor w1, at::Tensor b1, at::Tensor w2, at::Tensor b2);
  std::string name() const override { return "regression"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  std::vector<at::Tensor> Parameters() const override { return {w1_, b1_, w2_, b2_}; }

 private:
  at::Tensor w1_, b1_, w2_, b2_;
};

// The FFN itself with its first matrices replaced by a product of low rank. An expert's score is
// the sum over its neurons of the rough magnitude times the length of the neuron's row of W_out.
class SketchRouter final : public Router {
 public:
  // down [rank, hidden], up [matrices, experts, size, rank] (gate first where gated), bias
  // [matrices, experts, size], length [experts, size]; size: neurons of an expert
  SketchRouter(at::Tensor down, at::Tensor up, at::Tensor bias, at::Tensor length,
               model::Activation activation);
  std::string name() const override { return "sketch"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  std::vector<at::Tensor> Parameters() const override;

 private:
  at::Tensor down_, up_, bias_, length_;
  model::Activation activation_;
};

}  // namespace moefy::route
