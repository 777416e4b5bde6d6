// The matrices that an FFN's input meets, as one tensor whether the FFN is gated or not.
#pragma once

#include <ATen/ATen.h>

#include "moefy/model/ffn.h"

namespace moefy::route {

// W_in, after W_gate where gated: [matrices, neurons, hidden].
at::Tensor FirstMatrices(const model::FfnWeights& ffn);
// What is added to their products, zeros where the FFN adds nothing: [matrices, neurons].
at::Tensor FirstBiases(const model::FfnWeights& ffn);
// products [matrices, tokens, neurons], biases added -> what enters W_out [tokens, neurons].
at::Tensor CombineProducts(const at::Tensor& products, const model::Activation& activation);

}  // namespace moefy::route
