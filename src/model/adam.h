// One step of Adam, for whoever keeps the moments. Source: Kingma and Ba, arXiv 1412.6980,
// algorithm 1. Thread-safety: one caller at a time per parameter.
#pragma once

#include <ATen/ATen.h>

#include <cmath>

namespace moefy::model {

// How slowly the moments forget; epsilon keeps steps finite where the gradient is zero.
struct AdamDecays {
  double mean_decay;    // beta1
  double square_decay;  // beta2
  double epsilon = 1e-8;
};

// A parameter and its moments, all of one shape. The moments begin at zero.
struct AdamSlot {
  const at::Tensor& value;
  const at::Tensor& mean;
  const at::Tensor& square;
};

// Moves `value` against `gradient` by up to about `rate` per entry and updates the moments.
// num_steps counts this step: 1, 2, ...
inline void AdamStep(const AdamSlot& slot, const at::Tensor& gradient, double rate,
                     double num_steps, const AdamDecays& decays) {
  slot.mean.mul_(decays.mean_decay).add_(gradient, 1 - decays.mean_decay);
  slot.square.mul_(decays.square_decay).addcmul_(gradient, gradient, 1 - decays.square_decay);
  const double mean_correction = 1 - std::pow(decays.mean_decay, num_steps);
  const double square_correction = 1 - std::pow(decays.square_decay, num_steps);
  const at::Tensor root = slot.square.div(square_correction).sqrt_().add_(decays.epsilon);
  slot.value.addcdiv_(slot.mean, root, -rate / mean_correction);
}

}  // namespace moefy::model
