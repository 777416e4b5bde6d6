#include "model/contribution.h"

#include <gtest/gtest.h>

namespace moefy::model {
namespace {

// Neuron i sees input i alone, and its output row has length `lengths[i]`.
FfnWeights Diagonal(const std::vector<float>& lengths, Activation activation) {
  const auto n = static_cast<int64_t>(lengths.size());
  FfnWeights ffn;
  ffn.w_in = at::eye(n);
  ffn.w_out = at::diag(at::tensor(lengths));
  ffn.activation = activation;
  return ffn;
}

TEST(UseNeurons, ReluFiresAboveZeroWhateverTheContribution) {
  const FfnWeights ffn = Diagonal({1, 2, 0, 4}, Activation::kRelu);
  const NeuronUse use = UseNeurons(ffn, at::tensor({3.0f, 1e-6f, 5.0f, -1.0f}).view({1, 4}));
  EXPECT_TRUE(at::allclose(use.contributions, at::tensor({3.0f, 2e-6f, 0.0f, 0.0f}).view({1, 4})));
  EXPECT_TRUE(at::equal(use.fires, at::tensor({1, 1, 1, 0}).view({1, 4}) != 0));
}

TEST(UseNeurons, WithoutExactZerosTheFewestThatMakeUpNineTenthsFire) {
  FfnWeights ffn = Diagonal({1, 1, 1, 1}, Activation::kLeakyRelu);
  ffn.w_gate = at::eye(4);  // the square of the input
  ASSERT_FALSE(HasExactZeros(ffn));
  // Contributions 81, 9, 9, 1: 81 + 9 are nine tenths, and the other 9 ties.
  const at::Tensor x = at::tensor({9.0f, 3.0f, 3.0f, 1.0f}).view({1, 4});
  const NeuronUse use = UseNeurons(ffn, x);
  EXPECT_TRUE(at::equal(use.contributions, x * x));
  EXPECT_TRUE(at::equal(use.fires, at::tensor({1, 1, 1, 0}).view({1, 4}) != 0));
  EXPECT_FALSE(UseNeurons(ffn, at::zeros({1, 4})).fires.any().item<bool>());
  EXPECT_EQ(UseNeurons(ffn, at::zeros({0, 4})).fires.sizes(), at::IntArrayRef({0, 4}));
}

TEST(NeuronsNeeded, CountsTheFewest) {
  const at::Tensor contributions =
      at::tensor({90.0f, 5.0f, 4.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 0.0f, 0.0f, 0.0f, 0.0f})
          .view({3, 4});
  const at::Tensor needed = NeuronsNeeded(contributions, {0.9, 0.95, 0.99, 1.0});
  EXPECT_TRUE(
      at::equal(needed, at::tensor({1, 4, 0, 2, 4, 0, 3, 4, 0, 4, 4, 0}, at::kLong).view({4, 3})))
      << needed;
}

}  // namespace
}  // namespace moefy::model
