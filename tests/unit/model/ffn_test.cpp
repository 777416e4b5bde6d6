#include "moefy/model/ffn.h"

#include <gtest/gtest.h>

#include "model/activation.h"
#include "moefy/model/feed_forward.h"

namespace moefy::model {
namespace {

at::Tensor Row(std::vector<float> values) { return at::tensor(values).unsqueeze(0); }

TEST(Ffn, ComputesWhatItsFormulaSays) {
  FfnWeights ffn;
  ffn.w_in = at::tensor({1.f, 0.f, 0.f, 1.f, 1.f, 1.f}).view({3, 2});  // [neurons, hidden]
  ffn.b_in = at::tensor({0.f, -1.f, 0.5f});
  ffn.w_out = at::tensor({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}).view({3, 2});  // [neurons, hidden]
  ffn.b_out = at::tensor({10.f, 20.f});
  // x = (1, -2): before the activation 1, -3, -0.5; after ReLU 1, 0, 0.
  const at::Tensor x = Row({1, -2});
  EXPECT_TRUE(at::equal(NeuronActivations(ffn, x), Row({1, 0, 0})));
  EXPECT_TRUE(at::equal(DenseFeedForward(ffn).Forward(x), Row({11, 22})));
}

TEST(Ffn, TheGateIsWhatIsActivated) {
  FfnWeights ffn;
  ffn.w_in = at::tensor({2.f, 3.f}).view({2, 1});
  ffn.w_gate = at::tensor({-1.f, 4.f}).view({2, 1});
  ffn.w_out = at::tensor({1.f, 1.f}).view({2, 1});
  // x = 1: gate -1, 4 -> ReLU 0, 4; times 2, 3.
  EXPECT_TRUE(at::equal(NeuronActivations(ffn, Row({1})), Row({0, 12})));
}

TEST(Ffn, GeluComesInTwoForms) {
  const at::Tensor x = at::tensor({1.f});
  EXPECT_NEAR(Activate(Activation::kGelu, x).item<float>(), 0.841345, 1e-6);
  EXPECT_NEAR(Activate(Activation::kGeluTanh, x).item<float>(), 0.841192, 1e-6);
  EXPECT_NEAR(Activate(Activation::kSilu, x).item<float>(), 0.731059, 1e-6);
}

TEST(Ffn, EveryActivationIsWhatItsNameSays) {
  Activation fat = Activation::kFatRelu;
  fat.threshold = 0.5;
  const auto values = [](const Activation& activation) {
    return Activate(activation, at::tensor({-2.0f, 0.4f, 3.0f, 20.0f}));
  };
  const auto expect = [&](const Activation& activation, const std::vector<float>& wanted) {
    EXPECT_TRUE(at::allclose(values(activation), at::tensor(wanted), 1e-5, 1e-5))
        << ActivationName(activation) << ": " << values(activation);
  };
  expect(Activation::kRelu, {0, 0.4f, 3, 20});
  expect(Activation::kRelu2, {0, 0.16f, 9, 400});
  expect(Activation::kRelu6, {0, 0.4f, 3, 6});
  expect(fat, {0, 0, 3, 20});
  expect(Activation::kLeakyRelu, {-0.02f, 0.4f, 3, 20});
  expect(Activation::kGelu, {-0.0455003f, 0.2621687f, 2.9959502f, 20});
  expect(Activation::kGelu10, {-0.0455003f, 0.2621687f, 2.9959502f, 10});
  expect(Activation::kQuickGelu, {-0.0643418f, 0.2655669f, 2.9819386f, 20});
  expect(Activation::kMish, {-0.2525015f, 0.2890305f, 2.9865350f, 20});
}

TEST(Ffn, TheActivationMayBeOnBothProducts) {
  FfnWeights ffn;
  ffn.w_gate = at::tensor({1.0f, 1.0f}).view({2, 1});
  ffn.w_in = at::tensor({-2.0f, 3.0f}).view({2, 1});
  ffn.w_out = at::ones({2, 1});
  const at::Tensor x = at::ones({1, 1});
  EXPECT_TRUE(at::equal(NeuronActivations(ffn, x), at::tensor({-2.0f, 3.0f}).view({1, 2})));
  ffn.activation.on_both = true;
  EXPECT_TRUE(at::equal(NeuronActivations(ffn, x), at::tensor({0.0f, 3.0f}).view({1, 2})));
}

}  // namespace
}  // namespace moefy::model
