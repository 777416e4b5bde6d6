// Runs one FFN whose result is known.
#include <ATen/ATen.h>

#include <iostream>

#include "moefy/model/feed_forward.h"

int main() {
  moefy::model::FfnWeights ffn;
  ffn.w_in = at::tensor({1.0F, -1.0F}).view({2, 1});  // [neurons, hidden]
  ffn.w_out = at::tensor({2.0F, 3.0F}).view({2, 1});  // [neurons, hidden]
  ffn.activation = moefy::model::Activation::kRelu;
  moefy::model::DenseFeedForward feed_forward(ffn);
  const at::Tensor y = feed_forward.Forward(at::tensor({4.0F, -4.0F}).view({2, 1}));
  std::cout << y << "\n";
  return at::equal(y, at::tensor({8.0F, 12.0F}).view({2, 1})) ? 0 : 1;
}
