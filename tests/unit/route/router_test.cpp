#include "moefy/route/router.h"

#include <gtest/gtest.h>

namespace moefy::route {
namespace {

model::FfnWeights RandomFfn(int64_t neurons, int64_t hidden, bool gated = false) {
  at::manual_seed(3);
  model::FfnWeights ffn;
  ffn.w_in = at::randn({neurons, hidden});
  if (gated) ffn.w_gate = at::randn({neurons, hidden});
  ffn.w_out = at::randn({neurons, hidden});
  ffn.b_in = gated ? at::Tensor() : at::randn({neurons});
  return ffn;
}

TEST(ActivationMass, IsTheSumOfPositiveActivationsPerExpert) {
  model::FfnWeights ffn;
  ffn.w_in = at::tensor({1.0f, 0.0f, -1.0f, 0.0f, 0.0f, 2.0f, 1.0f, 1.0f}).view({4, 2});
  const at::Tensor x = at::tensor({3.0f, 1.0f, -2.0f, 0.5f}).view({2, 2});
  const at::Tensor expected = at::tensor({3.0f, 6.0f, 2.0f, 1.0f}).view({2, 2});
  EXPECT_TRUE(ActivationMass(ffn, x, 2).equal(expected));
  ffn.activation = model::Activation::kGelu;  // negative activations are not mass
  EXPECT_TRUE(ActivationMass(ffn, -x, 4).ge(0).all().item<bool>());
}

TEST(ActivationMass, DoesNotDependOnHowManyTokensThereAre) {
  const model::FfnWeights ffn = RandomFfn(24, 6);
  const at::Tensor x = at::randn({2500, 6});
  const at::Tensor all = ActivationMass(ffn, x, 4);
  for (const int64_t token : {0, 1023, 1024, 2499}) {
    EXPECT_TRUE(all.narrow(0, token, 1).allclose(ActivationMass(ffn, x.narrow(0, token, 1), 4)));
  }
  EXPECT_EQ(ActivationMass(ffn, x.narrow(0, 0, 0), 4).sizes(), at::IntArrayRef({0, 4}));
}

TEST(ExpertCenters, AreMeansOfUnitRows) {
  model::FfnWeights ffn;
  ffn.w_in = at::tensor({3.0f, 4.0f, 0.0f, 0.5f, -2.0f, 0.0f, 0.0f, 0.0f}).view({4, 2});
  const at::Tensor expected = at::tensor({0.3f, 0.9f, -0.5f, 0.0f}).view({2, 2});
  EXPECT_TRUE(ExpertCenters(ffn, 2).allclose(expected));
  ffn.w_gate = ffn.w_in.flip(0);
  EXPECT_TRUE(ExpertCenters(ffn, 2).allclose(expected.flip(0)));
}

TEST(MlpRouter, ScoresAsThePaperSays) {
  at::manual_seed(1);
  const at::Tensor w1 = at::randn({5, 8}), w2 = at::randn({5, 5}), x = at::randn({7, 8});
  MlpRouter router(w1, w2);
  const at::Tensor unit = x / x.norm(2, {1}, true);
  EXPECT_TRUE(
      router.Scores(x).allclose(at::mm(at::tanh(at::mm(unit, w1.t())), w2.t()), 1e-5, 1e-6));
  EXPECT_TRUE(router.Scores(100 * x).allclose(router.Scores(x), 1e-4, 1e-5));
  EXPECT_TRUE(router.Scores(at::zeros({1, 8})).eq(0).all().item<bool>()) << "not NaN";
  EXPECT_EQ(router.Scores(x.narrow(0, 0, 0)).sizes(), at::IntArrayRef({0, 5}));
  EXPECT_EQ(router.FlopsPerToken(), 2 * (5 * 8 + 5 * 5));
}

TEST(SimilarityRouter, IsTheCosine) {
  SimilarityRouter router(at::tensor({2.0f, 0.0f, 3.0f, 3.0f, 0.0f, 0.0f}).view({3, 2}));
  const at::Tensor scores = router.Scores(at::tensor({5.0f, 0.0f}).view({1, 2}));
  const float half = std::sqrt(0.5f);
  EXPECT_TRUE(scores.allclose(at::tensor({1.0f, half, 0.0f}).view({1, 3})));
}

TEST(RandomRouter, IsDeterminedByItsSeedAndIndependentOfTheInput) {
  const at::Tensor x = at::randn({20, 3});
  RandomRouter a(16, 5), b(16, 5), c(16, 6);
  const at::Tensor first = a.Scores(x);
  EXPECT_TRUE(first.equal(b.Scores(-x)));
  EXPECT_FALSE(first.equal(c.Scores(x)));
  EXPECT_FALSE(first.equal(a.Scores(x))) << "the next call gives the next numbers";
}

TEST(OracleRouter, IsTheMass) {
  for (const bool gated : {false, true}) {
    const model::FfnWeights ffn = RandomFfn(12, 5, gated);
    OracleRouter router(ffn, 3);
    const at::Tensor x = at::randn({9, 5});
    EXPECT_TRUE(router.Scores(x).equal(ActivationMass(ffn, x, 3)));
    EXPECT_EQ(router.FlopsPerToken(), 0);
  }
}

}  // namespace
}  // namespace moefy::route
