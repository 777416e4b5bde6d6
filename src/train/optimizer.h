// AdamW (Loshchilov and Hutter, arXiv 1711.05101) and, for the matrices that ask for it, Muon
// (Jordan et al., 2024), with the gradient's norm limited. T5 starts from embeddings of deviation 1
// and attention weights fifty times smaller: one step size for both would let one of them stand
// still or the other jump, while Muon's steps are as large for every matrix. One owner at a time.
#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "moefy/model/tensor_io.h"

namespace moefy::train {

class Optimizer {
 public:
  // How one parameter is moved.
  struct Rule {
    bool muon = false;        // of matrices only
    double weight_decay = 0;  // decoupled: the share lost per step is this times the step size
  };
  using RuleOf = std::function<Rule(const std::string& name, const at::Tensor& parameter)>;

  // Leaves that require gradients; those without one in a step are taken to have a gradient of 0.
  Optimizer(const model::TensorMap& parameters, const RuleOf& rule_of);

  // Moves the parameters against their gradients, then clears those. Step sizes: how far a
  // matrix's singular values go (Muon), and how far any other entry. Gradients whose common L2 norm
  // is over `max_norm` are scaled down to it; 0: never. Returns the norm before that.
  double Step(double matrix_rate, double entry_rate, double max_norm);

  // What a later process needs to go on: moments by name. The tensors are the optimizer's own.
  model::TensorMap State() const;
  // Takes over a State() of an optimizer over the same parameters after so many steps.
  void Restore(const model::TensorMap& state, int64_t num_steps);

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter;
    Rule rule;
    at::Tensor mean, square;  // square undefined for Muon
  };

  std::vector<Slot> slots_;
  double num_steps_ = 0;
};

}  // namespace moefy::train
