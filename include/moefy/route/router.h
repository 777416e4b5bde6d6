// Expert scores from the FFN's input: the routers, learned and not. Higher means more wanted.
// Thread-safety: Scores may be called from one thread at a time.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moefy/model/ffn.h"

namespace moefy::route {

class Router {
 public:
  virtual ~Router() = default;
  virtual std::string name() const = 0;  // "mlp", "similarity", "random", "oracle"
  // x [tokens, hidden] F32 -> [tokens, experts] F32.
  virtual at::Tensor Scores(const at::Tensor& x) = 0;
  // Multiply-adds times two that an input costs; 0 for selections that are bounds, not methods
  // (random, oracle).
  virtual double FlopsPerToken() const = 0;
};

// The paper's router: w2 tanh(w1 x / |x|). Source: MoEfication (arXiv 2110.01786), section 3.2.
class MlpRouter final : public Router {
 public:
  MlpRouter(at::Tensor w1, at::Tensor w2);  // [experts, hidden], [experts, experts]
  std::string name() const override { return "mlp"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  const at::Tensor& w1() const { return w1_; }
  const at::Tensor& w2() const { return w2_; }

 private:
  at::Tensor w1_, w2_;
};

// Cosine of the input with each expert's center (ExpertCenters).
class SimilarityRouter final : public Router {
 public:
  explicit SimilarityRouter(at::Tensor centers);  // [experts, hidden]
  std::string name() const override { return "similarity"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;

 private:
  at::Tensor centers_;
};

// Uniform noise: the floor. Deterministic in its seed and the sequence of calls.
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

// The true activation mass of each expert, by computing the dense FFN: the upper bound.
class OracleRouter final : public Router {
 public:
  OracleRouter(model::FfnWeights ffn, int64_t num_experts);  // ffn permuted as the plan says
  std::string name() const override { return "oracle"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override { return 0; }

 private:
  model::FfnWeights ffn_;
  int64_t num_experts_;
};

// Sum of positive activations per expert (the paper's importance): x [tokens, hidden] ->
// [tokens, experts]. `ffn` is permuted: expert e owns the e-th run of neurons.
at::Tensor ActivationMass(const model::FfnWeights& ffn, const at::Tensor& x, int64_t num_experts);

// Mean per expert of the L2-normalised rows that decide whether its neurons fire: of W_gate if
// gated, else of W_in. [experts, hidden].
at::Tensor ExpertCenters(const model::FfnWeights& ffn, int64_t num_experts);

const std::vector<std::string>& RouterNames();  // "mlp", "similarity", "oracle", "random"

}  // namespace moefy::route
