// Adam (Kingma and Ba, 2015) on ATen tensors, with the gradient's norm limited. LibTorch's own
// costs half a minute of compile time. One owner at a time.
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

namespace moefy::example {

class Adam {
 public:
  explicit Adam(std::vector<at::Tensor> parameters) : parameters_(std::move(parameters)) {
    for (const at::Tensor& parameter : parameters_) {
      mean_.push_back(at::zeros_like(parameter));
      square_.push_back(at::zeros_like(parameter));
    }
  }

  // Moves the parameters against their gradients, then clears those.
  void Step(double learning_rate, double max_norm) {
    const at::NoGradGuard no_grad;
    double squares = 0;
    for (const at::Tensor& parameter : parameters_) {
      squares += parameter.grad().square().sum().item<double>();
    }
    const double norm = std::sqrt(squares);
    const double scale = norm > max_norm ? max_norm / norm : 1.0;
    ++num_steps_;
    const double mean_correction = 1 - std::pow(kMeanDecay, num_steps_);
    const double square_correction = 1 - std::pow(kSquareDecay, num_steps_);
    for (size_t i = 0; i < parameters_.size(); ++i) {
      at::Tensor& gradient = parameters_[i].mutable_grad();
      gradient.mul_(scale);
      mean_[i].mul_(kMeanDecay).add_(gradient, 1 - kMeanDecay);
      square_[i].mul_(kSquareDecay).addcmul_(gradient, gradient, 1 - kSquareDecay);
      const at::Tensor root = square_[i].div(square_correction).sqrt_().add_(kEpsilon);
      parameters_[i].addcdiv_(mean_[i], root, -learning_rate / mean_correction);
      gradient.zero_();
    }
  }

 private:
  static constexpr double kMeanDecay = 0.9, kSquareDecay = 0.98, kEpsilon = 1e-8;

  std::vector<at::Tensor> parameters_, mean_, square_;
  double num_steps_ = 0;
};

}  // namespace moefy::example
