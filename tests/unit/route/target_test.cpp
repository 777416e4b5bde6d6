#include "route/target.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace moefy::route {
namespace {

model::FfnWeights FfnWith(int64_t neurons, int64_t hidden, model::Activation activation,
                          bool gated) {
  at::manual_seed(3);
  model::FfnWeights ffn;
  ffn.w_in = at::randn({neurons, hidden});
  ffn.b_in = at::randn({neurons});
  if (gated) ffn.w_gate = at::randn({neurons, hidden});
  ffn.w_out = at::randn({neurons, hidden});
  ffn.activation = activation;
  return ffn;
}

TEST(Mass, IsThePapersSumOfPositiveActivationsForRelu) {
  model::FfnWeights ffn;
  ffn.w_in = at::tensor({1.0f, 0.0f, -1.0f, 0.0f, 0.0f, 2.0f, 1.0f, 1.0f}).view({4, 2});
  ffn.w_out = ffn.w_in;
  const at::Tensor x = at::tensor({3.0f, 1.0f, -2.0f, 0.5f}).view({2, 2});
  const at::Tensor expected = at::tensor({3.0f, 6.0f, 2.0f, 1.0f}).view({2, 2});
  EXPECT_TRUE(Importance(GetTarget("mass"), ffn, x, 2).equal(expected));
}

TEST(Mass, CountsWhatANegativeNeuronMoves) {
  // Neuron 0 gives -3 through its gate, neuron 1 gives 1.
  model::FfnWeights ffn;
  ffn.w_in = at::tensor({-3.0f, 1.0f}).view({2, 1});
  ffn.w_gate = at::ones({2, 1});
  ffn.w_out = at::ones({2, 1});
  const at::Tensor expected = at::tensor({3.0f, 1.0f}).view({1, 2});
  EXPECT_TRUE(Importance(GetTarget("mass"), ffn, at::ones({1, 1}), 2).equal(expected));
}

TEST(OutputNorm, IsTheLengthOfWhatTheExpertAdds) {
  for (const bool gated : {false, true}) {
    for (const auto activation : {model::Activation::kRelu, model::Activation::kGelu}) {
      const model::FfnWeights ffn = FfnWith(24, 6, activation, gated);
      const at::Tensor x = at::randn({11, 6});
      const at::Tensor got = Importance(GetTarget("output-norm"), ffn, x, 4);
      const at::Tensor neurons = model::NeuronActivations(ffn, x);
      for (int64_t e = 0; e < 4; ++e) {
        const at::Tensor output =
            at::mm(neurons.narrow(1, 6 * e, 6), ffn.w_out.narrow(0, 6 * e, 6));
        EXPECT_TRUE(got.select(1, e).allclose(output.norm(2, {1}), 1e-4, 1e-4));
      }
    }
  }
}

TEST(Deviation, IsTheDistanceFromWhatStandsInForTheExpert) {
  const model::FfnWeights ffn = FfnWith(24, 6, model::Activation::kGelu, true);
  const at::Tensor x = at::randn({11, 6}), stand_in = at::randn({4, 6});
  const Target& deviation = GetTarget("deviation");
  const at::Tensor got = Importance(deviation, ffn, x, 4, stand_in);
  const at::Tensor neurons = model::NeuronActivations(ffn, x);
  for (int64_t e = 0; e < 4; ++e) {
    const at::Tensor output = at::mm(neurons.narrow(1, 6 * e, 6), ffn.w_out.narrow(0, 6 * e, 6));
    EXPECT_TRUE(got.select(1, e).allclose((output - stand_in[e]).norm(2, {1}), 1e-4, 1e-4));
  }
  EXPECT_TRUE(
      Importance(deviation, ffn, x, 4).equal(Importance(GetTarget("output-norm"), ffn, x, 4)));
}

TEST(Targets, AreNeverNegativeAndDoNotDependOnHowManyTokensThereAre) {
  const model::FfnWeights ffn = FfnWith(24, 6, model::Activation::kGelu, true);
  const at::Tensor x = at::randn({2500, 6});
  for (const Target& target : Targets()) {
    const at::Tensor all = Importance(target, ffn, x, 4);
    EXPECT_TRUE(all.ge(0).all().item<bool>()) << target.name;
    for (const int64_t token : {0, 1023, 1024, 2499}) {
      EXPECT_TRUE(all.narrow(0, token, 1)
                      .allclose(Importance(target, ffn, x.narrow(0, token, 1), 4), 1e-4, 1e-4));
    }
    EXPECT_EQ(Importance(target, ffn, x.narrow(0, 0, 0), 4).sizes(), at::IntArrayRef({0, 4}));
  }
  tests::ExpectError(ErrorKind::kUsage, {"unknown target 'output'", "mass, output-norm"},
                     [] { GetTarget("output"); });
}

}  // namespace
}  // namespace moefy::route
