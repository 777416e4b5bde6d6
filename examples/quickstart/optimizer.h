// Muon (Jordan et al., 2024) for the matrices inside the blocks, Adam (Kingma and Ba, 2015) for all
// else, with the gradient's norm limited. T5 starts from embeddings of deviation 1 and attention
// weights fifty times smaller: one step size for both would let one of them stand still or the
// other jump, while Muon's steps are as large for every matrix. One owner at a time.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <string>
#include <vector>

#include "moefy/model/transformer.h"

namespace moefy::example {

class Optimizer {
 public:
  // Matrices are all parameters of two dimensions but the token embedding and the position tables.
  explicit Optimizer(const model::TensorMap& parameters) {
    for (const auto& [name, tensor] : parameters) {
      const bool table = name.find("shared.") != std::string::npos ||
                         name.find("relative_attention_bias") != std::string::npos;
      slots_.push_back(
          {tensor, tensor.dim() == 2 && !table, at::zeros_like(tensor), at::zeros_like(tensor)});
    }
  }

  // Moves the parameters against their gradients, then clears those. Step sizes: how far a
  // matrix's singular values go, and how far any other entry.
  void Step(double matrix_rate, double entry_rate, double max_norm) {
    const at::NoGradGuard no_grad;
    double squares = 0;
    for (const Slot& slot : slots_) {
      squares += slot.parameter.grad().square().sum().item<double>();
    }
    const double norm = std::sqrt(squares);
    const double scale = norm > max_norm ? max_norm / norm : 1.0;
    ++num_steps_;
    for (Slot& slot : slots_) {
      at::Tensor& gradient = slot.parameter.mutable_grad();
      gradient.mul_(scale);
      if (slot.is_matrix) {
        MuonStep(slot, gradient, matrix_rate);
      } else {
        AdamStep(slot, gradient, entry_rate);
      }
      gradient.zero_();
    }
  }

 private:
  struct Slot {
    at::Tensor parameter;
    bool is_matrix;
    at::Tensor mean, square;
  };

  static constexpr double kMeanDecay = 0.9, kSquareDecay = 0.98, kEpsilon = 1e-8;
  static constexpr double kMomentum = 0.95, kWeightDecay = 0.05;

  void AdamStep(Slot& slot, const at::Tensor& gradient, double rate) const {
    slot.mean.mul_(kMeanDecay).add_(gradient, 1 - kMeanDecay);
    slot.square.mul_(kSquareDecay).addcmul_(gradient, gradient, 1 - kSquareDecay);
    const double square_correction = 1 - std::pow(kSquareDecay, num_steps_);
    const at::Tensor root = slot.square.div(square_correction).sqrt_().add_(kEpsilon);
    slot.parameter.addcdiv_(slot.mean, root, -rate / (1 - std::pow(kMeanDecay, num_steps_)));
  }

  static void MuonStep(Slot& slot, const at::Tensor& gradient, double rate) {
    slot.mean.mul_(kMomentum).add_(gradient);
    const at::Tensor direction = Orthogonalize(gradient + slot.mean * kMomentum);
    const double rows = static_cast<double>(direction.size(0));
    const double columns = static_cast<double>(direction.size(1));
    slot.parameter.mul_(1 - rate * kWeightDecay);
    slot.parameter.add_(direction, -rate * std::sqrt(std::max(1.0, rows / columns)));
  }

  // The nearest matrix with singular values of about 1, by five Newton-Schulz steps.
  static at::Tensor Orthogonalize(at::Tensor x) {
    const bool tall = x.size(0) > x.size(1);
    if (tall) x = x.t();
    x = x / (x.norm() + 1e-7);
    for (int i = 0; i < 5; ++i) {
      const at::Tensor square = x.matmul(x.t());
      x = x * 3.4445 + (square * -4.7750 + square.matmul(square) * 2.0315).matmul(x);
    }
    return tall ? x.t() : x;
  }

  std::vector<Slot> slots_;
  double num_steps_ = 0;
};

}  // namespace moefy::example
