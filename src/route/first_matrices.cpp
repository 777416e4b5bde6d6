#include "route/first_matrices.h"

namespace moefy::route {

at::Tensor FirstMatrices(const model::FfnWeights& ffn) {
  return ffn.w_gate.defined() ? at::stack({ffn.w_gate, ffn.w_in}) : ffn.w_in.unsqueeze(0);
}

at::Tensor FirstBiases(const model::FfnWeights& ffn) {
  const auto or_zeros = [&](const at::Tensor& bias) {
    return bias.defined() ? bias : at::zeros({ffn.num_neurons()}, ffn.w_in.options());
  };
  if (!ffn.w_gate.defined()) return or_zeros(ffn.b_in).unsqueeze(0);
  return at::stack({or_zeros(ffn.b_gate), or_zeros(ffn.b_in)});
}

at::Tensor CombineProducts(const at::Tensor& products, const model::Activation& activation) {
  return products.size(0) == 1 ? model::Activate(activation, products[0])
                               : model::ActivateGated(activation, products[0], products[1]);
}

}  // namespace moefy::route
