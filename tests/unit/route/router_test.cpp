#include "moefy/route/router.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

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

TEST(OracleRouter, IsTheTarget) {
  for (const Target& target : Targets()) {
    const model::FfnWeights ffn = RandomFfn(12, 5, /*gated=*/true);
    OracleRouter router(ffn, 3, target);
    const at::Tensor x = at::randn({9, 5});
    EXPECT_TRUE(router.Scores(x).equal(Importance(target, ffn, x, 3)));
    EXPECT_EQ(router.FlopsPerToken(), 0);
    EXPECT_EQ(router.name(), target.oracle);
  }
}

TEST(LinearRouter, IsLinearInTheInputItself) {
  at::manual_seed(1);
  const at::Tensor w = at::randn({5, 8}), b = at::randn({5}), x = at::randn({7, 8});
  LinearRouter router("ridge", w, b);
  EXPECT_TRUE(router.Scores(x).allclose(at::mm(x, w.t()) + b, 1e-5, 1e-6));
  EXPECT_EQ(router.name(), "ridge");
  EXPECT_EQ(router.FlopsPerToken(), 2 * 5 * 8);
}

TEST(RouterKinds, MakeWhatTheirShapesSay) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({4, 6});
  for (const RouterKind& kind : RouterKinds()) {
    std::vector<at::Tensor> parameters;
    for (const auto& shape : kind.shapes(3, 6)) parameters.push_back(at::randn(shape));
    ASSERT_EQ(parameters.size(), kind.tensors.size());
    const auto router = kind.make(parameters);
    EXPECT_EQ(router->name(), kind.name);
    EXPECT_EQ(router->Parameters().size(), parameters.size());
    EXPECT_TRUE(kind.make(router->Parameters())->Scores(x).allclose(router->Scores(x)));
  }
  tests::ExpectError(ErrorKind::kUsage, {"unknown router 'mlq'", "did you mean 'mlp'"},
                     [] { GetRouterKind("mlq"); });
}

}  // namespace
}  // namespace moefy::route
