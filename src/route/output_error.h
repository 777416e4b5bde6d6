// How far an FFN's output is from the dense one when only some experts run, on a sample of inputs.
// The relative squared error is |y_sparse - y|^2 / |y|^2 summed over tokens, b_out left out; 0 when
// nothing moves the output. Thread-safety: a sample is immutable.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "moefy/model/ffn.h"
#include "route/expert_mask.h"
#include "route/substitute.h"

namespace moefy::route {

struct OutputErrors {
  double all = 0;
  // The error of what tells tokens apart: outputs less their mean over the tokens, and differences
  // likewise. A model bears a constant error much better than one of this kind (docs/routing.md).
  double varying = 0;
};

class OutputSample {
 public:
  // x [tokens, hidden]; ffn permuted as the plan says.
  OutputSample(const model::FfnWeights& ffn, const at::Tensor& x, int64_t num_experts);

  double Error(const ExpertMask& mask, const Substitute& substitute = {}) const;
  OutputErrors Errors(const ExpertMask& mask, const Substitute& substitute = {}) const;
  // The error with the best-chosen `ratio` of the neurons of each token, by the length of what each
  // adds: what no grouping into experts can beat by much.
  double NeuronOracleError(double ratio) const;

  const at::Tensor& x() const { return x_; }              // [tokens, hidden]
  const at::Tensor& neurons() const { return neurons_; }  // [tokens, neurons]
  const at::Tensor& outputs() const { return outputs_; }  // [tokens, hidden], without b_out

 private:
  at::Tensor Missing(const ExpertMask& mask, const Substitute& substitute) const;

  at::Tensor x_, w_out_, neurons_, outputs_;
};

// The dense output less that of what runs with the substitute. x [tokens, hidden], neurons [tokens,
// neurons], outputs [tokens, hidden] neurons times w_out, the FFN's -> [tokens, hidden]
at::Tensor MissingOutput(const at::Tensor& x, const at::Tensor& neurons, const at::Tensor& outputs,
                         const ExpertMask& mask, const at::Tensor& w_out,
                         const Substitute& substitute);

}  // namespace moefy::route
