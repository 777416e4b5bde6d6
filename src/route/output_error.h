// How far an FFN's output is from the dense one when only some experts run, on a sample of inputs.
// Relative squared error: |y_sparse - y|^2 / |y|^2 summed over tokens, b_out aside; 0 when nothing
// moves the output. Thread-safety: a sample is immutable.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "moefy/model/ffn.h"

namespace moefy::route {

// What all experts that do not run would have added, roughly, from the input: of low rank, and
// times their share of all experts.
struct Correction {
  at::Tensor down;  // [rank, hidden]; undefined for none
  at::Tensor up;    // [hidden, rank]
  at::Tensor bias;  // [hidden]

  bool defined() const { return down.defined(); }
  at::Tensor Of(const at::Tensor& x) const { return at::linear(at::linear(x, down), up, bias); }
  Correction To(at::Device device) const {
    return defined() ? Correction{down.to(device), up.to(device), bias.to(device)} : Correction();
  }
  double FlopsPerToken() const { return 2.0 * static_cast<double>(down.numel() + up.numel()); }
};

// What runs in the place of the dense FFN besides the chosen experts.
struct Substitute {
  at::Tensor compensation;  // [experts, hidden] or undefined: added for each expert not chosen
  at::Tensor w_out = {};    // [neurons, hidden] or undefined: used in place of the FFN's
  Correction correction = {};
};

// What runs for each token of a batch.
struct ExpertMask {
  at::Tensor experts;             // Bool [tokens, experts]
  at::Tensor min_magnitude = {};  // [neurons]: those that give less count for nothing; or undefined
};

class OutputSample {
 public:
  // x [tokens, hidden]; ffn permuted as the plan says.
  OutputSample(const model::FfnWeights& ffn, const at::Tensor& x, int64_t num_experts);

  double Error(const ExpertMask& mask, const Substitute& substitute = {}) const;
  // The same of what tells tokens apart: outputs less their mean over the tokens, and likewise the
  // difference. A model bears a constant error much better than one of this kind (docs/routing.md).
  double VaryingError(const ExpertMask& mask, const Substitute& substitute = {}) const;
  // With the best-chosen `ratio` of the neurons of each token, by the length of what each adds:
  // what no grouping into experts can beat by much.
  double NeuronOracleError(double ratio) const;

  const at::Tensor& x() const { return x_; }              // [tokens, hidden]
  const at::Tensor& neurons() const { return neurons_; }  // [tokens, neurons]
  const at::Tensor& outputs() const { return outputs_; }  // [tokens, hidden], without b_out

 private:
  at::Tensor x_, w_out_, neurons_, outputs_;
};

// What the dense output has and that of what runs with `stand` has not. x [tokens, hidden], neurons
// [tokens, neurons], w_out the FFN's -> [tokens, hidden]
at::Tensor MissingOutput(const at::Tensor& x, const at::Tensor& neurons, const ExpertMask& mask,
                         const at::Tensor& w_out, const Substitute& substitute);

// neurons [tokens, neurons] with those that do not run put to zero.
at::Tensor MaskNeurons(const at::Tensor& neurons, const ExpertMask& mask);

}  // namespace moefy::route
