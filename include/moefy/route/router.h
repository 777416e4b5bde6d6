// Expert scores from the FFN's input: the routers, learned and not. Higher means more wanted.
// Thread-safety: Scores may be called from one thread at a time.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moefy/model/ffn.h"
#include "moefy/route/target.h"

namespace moefy::route {

class Router {
 public:
  virtual ~Router() = default;
  virtual std::string name() const = 0;  // of RouterNames()
  // x [tokens, hidden] F32 -> [tokens, experts] F32.
  virtual at::Tensor Scores(const at::Tensor& x) = 0;
  // Multiply-adds times two that an input costs; 0 for selections that are bounds, not methods
  // (random, oracle).
  virtual double FlopsPerToken() const = 0;
  // What it has learned, in the order of its RouterKind's tensors; nothing for the others.
  virtual std::vector<at::Tensor> Parameters() const { return {}; }
};

// The paper's router: w2 tanh(w1 x / |x|). Source: MoEfication (arXiv 2110.01786), section 3.2.
class MlpRouter final : public Router {
 public:
  MlpRouter(at::Tensor w1, at::Tensor w2);  // [experts, hidden], [experts, experts]
  std::string name() const override { return "mlp"; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  std::vector<at::Tensor> Parameters() const override { return {w1_, w2_}; }
  const at::Tensor& w1() const { return w1_; }
  const at::Tensor& w2() const { return w2_; }

 private:
  at::Tensor w1_, w2_;
};

// w x + b: half an MLP's work, and it sees the input's length, which a bias makes matter.
class LinearRouter final : public Router {
 public:
  // [experts, hidden], [experts]; `name` says how they were found: "linear" or "ridge".
  LinearRouter(std::string name, at::Tensor w, at::Tensor b);
  std::string name() const override { return name_; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override;
  std::vector<at::Tensor> Parameters() const override { return {w_, b_}; }

 private:
  std::string name_;
  at::Tensor w_, b_;
};

// Cosine of the input with each expert's center (ExpertCenters).
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

// The true importance of each expert, by computing the dense FFN: the upper bound.
class OracleRouter final : public Router {
 public:
  // ffn permuted as the plan says
  OracleRouter(model::FfnWeights ffn, int64_t num_experts,
               const Target& target = Targets().front());
  std::string name() const override { return target_.oracle; }
  at::Tensor Scores(const at::Tensor& x) override;
  double FlopsPerToken() const override { return 0; }

 private:
  model::FfnWeights ffn_;
  int64_t num_experts_;
  const Target& target_;
};

// Mean per expert of the L2-normalised rows that decide whether its neurons fire: of W_gate if
// gated, else of W_in. [experts, hidden].
at::Tensor ExpertCenters(const model::FfnWeights& ffn, int64_t num_experts);

// The routers that a split checkpoint can store. Adding one is a class (or a use of one), a way to
// fit it (route/router_trainer.h) and a line in RouterKinds().
struct RouterKind {
  std::string name;
  std::string description;
  bool learned;  // from recorded inputs; else it follows from the weights
  // Behind "<ffn>.router." in moefy.safetensors.
  std::vector<std::string> tensors;
  // Their shapes, by the number of experts and the width of the FFN.
  std::vector<std::vector<int64_t>> (*shapes)(int64_t experts, int64_t hidden);
  std::unique_ptr<Router> (*make)(const std::vector<at::Tensor>& parameters);
};
const std::vector<RouterKind>& RouterKinds();              // "mlp", "linear", "ridge", "similarity"
const RouterKind& GetRouterKind(const std::string& name);  // Error{kUsage} lists the names

// All that can choose experts: the kinds, the targets' oracles and "random".
const std::vector<std::string>& RouterNames();

}  // namespace moefy::route
