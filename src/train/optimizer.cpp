#include "train/optimizer.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "model/adam.h"
#include "moefy/base/error.h"

namespace moefy::train {
namespace {

constexpr model::AdamDecays kAdamDecays{.mean_decay = 0.9, .square_decay = 0.98};
constexpr double kMomentum = 0.95;

// Finds the nearest matrix with singular values of about 1, by five Newton-Schulz steps.
at::Tensor Orthogonalize(at::Tensor x) {
  const bool tall = x.size(0) > x.size(1);
  if (tall) x = x.t();
  x = x / (x.norm() + 1e-7);
  for (int i = 0; i < 5; ++i) {
    const at::Tensor square = x.matmul(x.t());
    x = x * 3.4445 + (square * -4.7750 + square.matmul(square) * 2.0315).matmul(x);
  }
  return tall ? x.t() : x;
}

void MuonStep(const at::Tensor& parameter, const at::Tensor& mean, const at::Tensor& gradient,
              double rate) {
  mean.mul_(kMomentum).add_(gradient);
  const at::Tensor direction = Orthogonalize(gradient + mean * kMomentum);
  const double rows = static_cast<double>(direction.size(0));
  const double columns = static_cast<double>(direction.size(1));
  parameter.add_(direction, -rate * std::sqrt(std::max(1.0, rows / columns)));
}

}  // namespace

Optimizer::Optimizer(const model::TensorMap& parameters, const RuleOf& rule_of) {
  for (const auto& [name, tensor] : parameters) {
    tensor.mutable_grad() = at::zeros_like(tensor);
    Slot slot{name, tensor, rule_of(name, tensor), at::zeros_like(tensor), {}};
    MOEFY_CHECK(!slot.rule.muon || tensor.dim() == 2);
    if (!slot.rule.muon) slot.square = at::zeros_like(tensor);
    slots_.push_back(std::move(slot));
  }
}

double Optimizer::Step(double matrix_rate, double entry_rate, double max_norm) {
  const at::NoGradGuard no_grad;
  double squares = 0;
  for (const Slot& slot : slots_) {
    squares += slot.parameter.grad().square().sum().item<double>();
  }
  const double norm = std::sqrt(squares);
  ++num_steps_;
  for (Slot& slot : slots_) {
    at::Tensor& gradient = slot.parameter.mutable_grad();
    if (max_norm > 0 && norm > max_norm) gradient.mul_(max_norm / norm);
    const double rate = slot.rule.muon ? matrix_rate : entry_rate;
    if (slot.rule.weight_decay > 0) slot.parameter.mul_(1 - rate * slot.rule.weight_decay);
    if (slot.rule.muon) {
      MuonStep(slot.parameter, slot.mean, gradient, rate);
    } else {
      model::AdamStep({slot.parameter, slot.mean, slot.square}, gradient, rate, num_steps_,
                      kAdamDecays);
    }
    gradient.zero_();
  }
  return norm;
}

model::TensorMap Optimizer::State() const {
  model::TensorMap state;
  for (const Slot& slot : slots_) {
    state.emplace("mean." + slot.name, slot.mean);
    if (slot.square.defined()) state.emplace("square." + slot.name, slot.square);
  }
  return state;
}

void Optimizer::Restore(const model::TensorMap& state, int64_t num_steps) {
  for (const auto& [name, tensor] : State()) tensor.copy_(state.at(name));
  num_steps_ = static_cast<double>(num_steps);
}

}  // namespace moefy::train
