#include "train/masked_ffn.h"

#include <ATen/core/grad_mode.h>

#include <gtest/gtest.h>

#include "route/first_product_router.h"
#include "route/learned_routers.h"
#include "runtime/neuronwise_ffn.h"
#include "runtime/sparse_ffn.h"

namespace moefy::train {
namespace {

constexpr int64_t kHidden = 12, kNeurons = 40, kExperts = 8;

model::FfnWeights RandomFfn(bool gated, model::Activation activation) {
  model::FfnWeights ffn;
  ffn.w_in = at::randn({kNeurons, kHidden});
  ffn.b_in = at::randn({kNeurons});
  ffn.w_out = at::randn({kNeurons, kHidden});
  ffn.b_out = at::randn({kHidden});
  if (gated) ffn.w_gate = at::randn({kNeurons, kHidden});
  ffn.activation = activation;
  return ffn;
}

std::shared_ptr<route::Router> MlpRouter() {
  return std::make_shared<route::MlpRouter>(at::randn({kExperts, kHidden}),
                                            at::randn({kExperts, kExperts}));
}

TEST(MaskedFeedForward, GivesWhatTheSparseRunnerGives) {
  const at::NoGradGuard no_grad;
  at::manual_seed(5);
  route::SelectionRule top;
  top.num_selected = 3;
  route::SelectionRule threshold;
  threshold.num_selected = kExperts;
  threshold.threshold = 0.1F;
  route::SelectionRule shared;
  shared.num_selected = 2;
  shared.num_shared = 2;
  route::SelectionRule only_shared;
  only_shared.num_shared = 3;
  route::SelectionRule shared_threshold = shared;
  shared_threshold.num_selected = kExperts - 2;
  shared_threshold.threshold = 0.1F;
  const at::Tensor compensation = at::randn({kExperts, kHidden});
  const route::Correction correction{at::randn({4, kHidden}), at::randn({kHidden, 4}),
                                     at::randn({kHidden})};
  const at::Tensor min_magnitude = at::rand({kNeurons});
  for (const bool gated : {false, true}) {
    for (const route::SelectionRule& rule :
         {top, threshold, shared, only_shared, shared_threshold}) {
      for (const bool compensated : {false, true}) {
        for (const bool thinned : {false, true}) {
          route::RoutedFfn routed{MlpRouter(), {rule}};
          if (compensated) {
            routed.compensation = compensation;
            routed.correction = correction;
          }
          if (thinned) routed.plan.min_magnitude = min_magnitude;
          const model::FfnWeights ffn =
              RandomFfn(gated, gated ? model::Activation::kSilu : model::Activation::kRelu);
          const auto sparse = runtime::MakeSparse(
              std::make_shared<const runtime::ExpertWeights>(runtime::PackExperts(ffn, kExperts)),
              routed);
          MaskedFeedForward masked(ffn, kExperts, routed);
          const at::Tensor x = at::randn({17, kHidden});
          EXPECT_TRUE(at::allclose(masked.Forward(x), sparse->Forward(x), 1e-4, 1e-4));
        }
      }
    }
  }
}

TEST(MaskedFeedForward, ExpertsThatDoNotRunGetNoGradient) {
  at::manual_seed(6);
  model::FfnWeights ffn = RandomFfn(false, model::Activation::kGelu);
  ffn.w_in.requires_grad_();
  ffn.w_out.requires_grad_();
  route::SelectionRule rule;
  rule.num_selected = 2;
  const at::Tensor x = at::randn({1, kHidden});
  MaskedFeedForward masked(ffn, kExperts, {MlpRouter(), {rule}});
  masked.Forward(x).square().sum().backward();
  const at::Tensor per_expert = ffn.w_out.grad().abs().view({kExperts, -1}).sum(1);
  EXPECT_EQ((per_expert > 0).sum().item<int64_t>(), 2);
  EXPECT_TRUE(at::equal(per_expert > 0, ffn.w_in.grad().abs().view({kExperts, -1}).sum(1) > 0));
}

TEST(MaskedFeedForward, ChoosesNeuronsByTheProductOfTheWeightsThatItHas) {
  const at::NoGradGuard no_grad;
  at::manual_seed(7);
  const model::FfnWeights stored = RandomFfn(true, model::Activation::kSilu);
  model::FfnWeights trained = stored;
  trained.w_in = stored.w_in + 0.5 * at::randn_like(stored.w_in);
  at::Tensor worth = at::zeros({2, kNeurons});
  worth[1] = at::rand({kNeurons}) + 0.5;  // "up" first
  route::SelectionRule rule;
  rule.num_selected = 9;
  MaskedFeedForward masked(trained, kNeurons,
                           {std::make_shared<route::FirstProductRouter>(worth, kNeurons, kHidden,
                                                                        [&] { return stored; }),
                            {rule}});
  const at::Tensor x = at::randn({17, kHidden});
  const auto run = [&](const model::FfnWeights& ffn) {
    return runtime::NeuronwiseFeedForward(std::make_shared<const runtime::NeuronwiseWeights>(
                                              ffn, worth, runtime::WeightFormat::kF32),
                                          rule)
        .Forward(x);
  };
  EXPECT_TRUE(at::allclose(masked.Forward(x), run(trained), 1e-4, 1e-4));
  EXPECT_FALSE(at::allclose(run(stored), run(trained), 1e-2, 1e-2)) << "the weights should differ";
}

TEST(MaskedFeedForward, TakesNoTokens) {
  route::SelectionRule rule;
  rule.num_selected = 2;
  MaskedFeedForward masked(RandomFfn(false, model::Activation::kRelu), kExperts,
                           {MlpRouter(), {rule}});
  EXPECT_EQ(masked.Forward(at::zeros({0, kHidden})).sizes(), at::IntArrayRef({0, kHidden}));
}

}  // namespace
}  // namespace moefy::train
