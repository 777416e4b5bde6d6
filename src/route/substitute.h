// What stands in for the experts that do not run. Values; their tensors are not changed.
#pragma once

#include <ATen/ATen.h>

namespace moefy::route {

// A map of low rank from the input to what all experts that do not run would have added, roughly.
// It counts as much as their share of all experts.
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

}  // namespace moefy::route
