// The matrices that an FFN's input meets, as one tensor whether the FFN is gated or not.
#pragma once

#include <ATen/ATen.h>

#include "moefy/model/ffn.h"

namespace moefy::route {

// W_gate (where gated), then W_in: [matrices, neurons, hidden].
at::Tensor FirstMatrices(const model::FfnWeights& ffn);
// The biases added to their products, zeros where the FFN has none: [matrices, neurons].
at::Tensor FirstBiases(const model::FfnWeights& ffn);
// products [matrices, tokens, neurons], biases added -> what enters W_out [tokens, neurons].
at::Tensor CombineProducts(const at::Tensor& products, const model::Activation& activation);

}  // namespace moefy::route
