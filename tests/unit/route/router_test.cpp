#include "route/router.h"

#include <ATen/core/grad_mode.h>

#include <gtest/gtest.h>

#include <algorithm>

#include "route/analytic_routers.h"
#include "route/first_product_router.h"
#include "route/learned_routers.h"
#include "route/router_fit.h"
#include "split/neuron_patterns.h"
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

TEST(Router, TellsTheFormThatItsParametersCompute) {
  at::manual_seed(2);
  const at::Tensor x = at::randn({6, 8});
  MlpRouter mlp(at::randn({5, 8}), at::randn({5, 5}));
  EXPECT_EQ(mlp.form(), RouterForm::kMlp);
  std::vector<at::Tensor> w = mlp.Parameters();
  const at::Tensor unit = x / x.norm(2, {1}, true);
  EXPECT_TRUE(mlp.Scores(x).allclose(at::mm(at::tanh(at::mm(unit, w[0].t())), w[1].t()), 1e-5));
  LinearRouter linear("ridge", at::randn({5, 8}), at::randn({5}));
  EXPECT_EQ(linear.form(), RouterForm::kLinear);
  w = linear.Parameters();
  EXPECT_TRUE(linear.Scores(x).allclose(at::linear(x, w[0], w[1])));
  SimilarityRouter cosine(at::randn({5, 8}));
  EXPECT_EQ(cosine.form(), RouterForm::kCosine);
  EXPECT_TRUE(cosine.Scores(x).allclose(at::mm(unit, cosine.Parameters()[0].t()), 1e-5, 1e-6));
  EXPECT_EQ(LowRankRouter(at::randn({2, 8}), at::randn({5, 2}), at::randn({5})).form(),
            RouterForm::kOther);
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

TEST(LowRankRouter, IsAProduct) {
  at::manual_seed(1);
  const at::Tensor down = at::randn({2, 8}), up = at::randn({5, 2}), b = at::randn({5});
  LowRankRouter router(down, up, b);
  const at::Tensor x = at::randn({7, 8});
  EXPECT_TRUE(router.Scores(x).allclose(at::mm(at::mm(x, down.t()), up.t()) + b, 1e-4, 1e-5));
  EXPECT_EQ(router.FlopsPerToken(), 2 * (2 * 8 + 5 * 2));
}

TEST(RegressionRouter, HasAHiddenLayerOfItsOwnWidth) {
  const at::Tensor w1 = at::tensor({1.0f, 0.0f, 0.0f, -1.0f}).view({2, 2});
  RegressionRouter router(w1, at::tensor({0.5f, 0.0f}), at::tensor({2.0f, 3.0f}).view({1, 2}),
                          at::tensor({0.25f}));
  const at::Tensor x = at::tensor({1.0f, 1.0f, -1.0f, -2.0f}).view({2, 2});
  EXPECT_TRUE(router.Scores(x).equal(at::tensor({3.25f, 6.25f}).view({2, 1})));
  EXPECT_EQ(router.FlopsPerToken(), 2 * (4 + 2));
}

TEST(SketchRouter, OfFullRankIsTheWeightedMassItself) {
  for (const bool gated : {false, true}) {
    model::FfnWeights ffn = RandomFfn(12, 5, gated);
    const at::Tensor bias = gated ? at::zeros({2, 3, 4}) : ffn.b_in.view({1, 3, 4});
    const at::Tensor first = gated ? at::stack({ffn.w_gate, ffn.w_in}) : ffn.w_in.unsqueeze(0);
    const at::Tensor length = ffn.w_out.norm(2, {1});
    SketchRouter router(at::eye(5), first.view({-1, 3, 4, 5}), bias, length.view({3, 4}),
                        ffn.activation);
    const at::Tensor x = at::randn({6, 5});
    const at::Tensor mass =
        (model::NeuronActivations(ffn, x).abs() * length).view({6, 3, 4}).sum(2);
    EXPECT_TRUE(router.Scores(x).allclose(mass, 1e-4, 1e-4));
  }
}

TEST(RepresentativeRouter, IsTheMagnitudeOfTheNeuronNearestTheCenter) {
  for (const bool gated : {false, true}) {
    const model::FfnWeights ffn = RandomFfn(12, 5, gated);
    const at::Tensor chosen = RepresentativeNeurons(ffn, 3);
    for (int64_t e = 0; e < 3; ++e) {
      EXPECT_EQ(chosen[e].item<int64_t>() / 4, e) << "a neuron of the expert's own";
    }
    const at::Tensor x = at::randn({6, 5});
    const auto router = GetRouterKind("representative").from_weights(ffn, 3);
    EXPECT_TRUE(router->Scores(x).allclose(
        model::NeuronActivations(ffn, x).abs().index_select(1, chosen), 1e-4, 1e-5));
  }
}

TEST(GateRows, ScoreTheMeanProductOfTheGate) {
  for (const bool gated : {false, true}) {
    const model::FfnWeights ffn = RandomFfn(12, 5, gated);
    const at::Tensor x = at::randn({6, 5});
    const at::Tensor products = at::linear(x, gated ? ffn.w_gate : ffn.w_in, ffn.b_in);
    const auto router = GetRouterKind(kGateRows).from_weights(ffn, 3);
    EXPECT_TRUE(router->Scores(x).allclose(products.view({6, 3, 4}).mean(2), 1e-4, 1e-5));
    EXPECT_EQ(router->FlopsPerToken(), 2 * 5 * 3);
  }
}

// The neuron whose marks differ on fewest tokens from what its expert does on the mean, found by
// counting.
TEST(ExemplarRouter, IsTheNeuronThatIsActiveAsItsExpertIs) {
  const at::NoGradGuard no_grad;
  const model::FfnWeights ffn = RandomFfn(40, 6, /*gated=*/true);
  const at::Tensor x = at::randn({900, 6}), target = at::ones({900, 4});
  RouterTrainOptions options;
  options.router = kExemplar;
  const FitRequest request = {
      ffn,
      4,
      2,   // the tokens come in two batches
      {},  // it needs no targets
      [&](int64_t pass) { return x.slice(0, 450 * pass, 450 * pass + 450); },
      x,
      target,
      {.num_selected = 2},
      options};
  const at::Tensor marks = split::MarkLargest(ffn, x);  // [tokens, neurons]
  std::vector<int64_t> wanted;
  for (int64_t e = 0; e < 4; ++e) {
    const at::Tensor own = marks.slice(1, 10 * e, 10 * e + 10);
    const at::Tensor far = (own - own.mean(1, true)).square().sum(0);
    wanted.push_back(10 * e + far.argmin().item<int64_t>());
  }
  const auto router = FitRouter(request).router;
  EXPECT_TRUE(router->Scores(x).allclose(model::NeuronActivations(ffn, x).abs().index_select(
                                             1, at::tensor(at::ArrayRef<int64_t>(wanted))),
                                         1e-4, 1e-5));
  EXPECT_EQ(router->name(), kExemplar);
}

TEST(RepresentativeNeurons, AreNearestByAngle) {
  model::FfnWeights ffn;
  ffn.w_in = at::tensor({9.0f, 0.0f, 1.0f, 1.1f, 0.0f, 0.2f}).view({3, 2});
  EXPECT_EQ(RepresentativeNeurons(ffn, 1).item<int64_t>(), 1);
}

// A neuron is worth its magnitude, times the mean of what that is multiplied with, times its row.
TEST(FirstProductRouter, TakesTheProductThatTellsMore) {
  const at::NoGradGuard no_grad;
  at::manual_seed(2);
  model::FfnWeights ffn = RandomFfn(12, 5, /*gated=*/true);
  ffn.activation = model::Activation::kSilu;
  const at::Tensor x = at::randn({400, 5});
  const auto fit = [&] {
    RouterTrainOptions options;
    const at::Tensor target = Importance(GetTarget("output-norm"), ffn, x, 12);
    return FitFirstProduct({ffn,
                            12,
                            1,
                            [&](int64_t) {
                              return RouterBatch{x, target};
                            },
                            [&](int64_t) { return x; },
                            x,
                            target,
                            {.num_selected = 6},
                            options});
  };
  // The gate is open for all, so that the other product decides; and the other way round.
  ffn.b_gate = at::full({12}, 30.0f);
  const Fitted up = fit();
  EXPECT_EQ(FirstProductIndex(up.router->Parameters()[0]), 1);
  ffn.b_gate = at::Tensor();
  ffn.b_in = at::full({12}, 30.0f);
  const Fitted gate = fit();
  EXPECT_EQ(FirstProductIndex(gate.router->Parameters()[0]), 0);
  const at::Tensor product = model::Activate(ffn.activation, at::linear(x, ffn.w_gate)).abs();
  const at::Tensor other = at::linear(x, ffn.w_in, ffn.b_in).abs().mean(0);
  EXPECT_TRUE(
      gate.router->Scores(x).allclose(product * other * ffn.w_out.norm(2, {1}), 1e-3, 1e-3));
  EXPECT_EQ(gate.router->FlopsPerToken(), 2 * 5 * 12);
}

TEST(FirstProductRouter, OfTheGateAloneScoresItsMagnitude) {
  const at::NoGradGuard no_grad;
  model::FfnWeights ffn = RandomFfn(12, 5, /*gated=*/true);
  ffn.activation = model::Activation::kSilu;
  ffn.b_gate = at::full({12}, 30.0f);  // the other product would tell more
  const at::Tensor x = at::randn({400, 5});
  const at::Tensor target = Importance(GetTarget("output-norm"), ffn, x, 12);
  RouterTrainOptions options;
  options.product = kGateAlone;
  const Fitted fitted = FitFirstProduct({ffn,
                                         12,
                                         1,
                                         {},
                                         {},  // it needs no inputs
                                         x,
                                         target,
                                         {.num_selected = 6},
                                         options});
  EXPECT_EQ(FirstProductIndex(fitted.router->Parameters()[0]), 0);
  const at::Tensor gate = model::Activate(ffn.activation, at::linear(x, ffn.w_gate, ffn.b_gate));
  EXPECT_TRUE(fitted.router->Scores(x).allclose(gate.abs(), 1e-4, 1e-4));
}

TEST(RouterKinds, MakeWhatTheirShapesSay) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({4, 6});
  model::FfnSpec gated;
  gated.hidden = 6;
  gated.num_neurons = 12;
  model::FfnSpec plain = gated;
  gated.w_gate = "gate";
  for (const RouterKind& kind : RouterKinds()) {
    for (const model::FfnSpec& spec : {plain, gated}) {
      std::vector<at::Tensor> parameters;
      for (std::vector<int64_t> shape : kind.shapes(spec, 3)) {
        std::ranges::replace(shape, kAnySize, int64_t{2});
        parameters.push_back(at::randn(shape));
      }
      ASSERT_EQ(parameters.size(), kind.tensors.size());
      const model::FfnWeights ffn = RandomFfn(12, 6, spec.gated());
      const auto make = [&](const std::vector<at::Tensor>& from) {
        return kind.make_with_ffn ? kind.make_with_ffn(from, spec, 3, [&] { return ffn; })
                                  : kind.make(from, spec.activation);
      };
      const auto router = make(parameters);
      EXPECT_EQ(router->name(), kind.name);
      EXPECT_EQ(router->Scores(x).sizes(), at::IntArrayRef({4, 3}));
      EXPECT_EQ(router->Parameters().size(), parameters.size());
      const auto again = make(router->Parameters());
      EXPECT_TRUE(again->Scores(x).allclose(router->Scores(x)));
    }
  }
  tests::ExpectError(ErrorKind::kUsage, {"unknown router 'mlq'", "did you mean 'mlp'"},
                     [] { GetRouterKind("mlq"); });
}

}  // namespace
}  // namespace moefy::route
