#include "runtime/sparse_ffn.h"

#include <gtest/gtest.h>

#include "model/activation.h"
#include "moefy/model/feed_forward.h"
#include "route/analytic_routers.h"
#include "route/learned_routers.h"
#include "runtime/select_experts.h"
#include "support/tolerances.h"
#include "unit/runtime/reference.h"

namespace moefy::runtime {
namespace {

using model::Activation;
using tests::FfnShape;

double RelativeError(const at::Tensor& found, const at::Tensor& wanted) {
  return ((found - wanted).abs().max() / wanted.abs().max()).item<double>();
}

TEST(SparseFeedForward, AllExpertsOnIsTheDenseFfn) {
  for (const Activation activation :
       {Activation::kRelu, Activation::kGelu, Activation::kGeluTanh, Activation::kSilu}) {
    for (const bool gated : {false, true}) {
      SCOPED_TRACE(model::ActivationName(activation) + (gated ? " gated" : ""));
      const FfnShape shape{96, 8, 24, activation, gated, true};
      const model::FfnWeights ffn = tests::RandomFfn(shape, 1);
      const at::Tensor x = tests::RandomTokens(21, shape.hidden, 2);
      SparseFeedForward sparse(
          std::make_shared<const ExpertWeights>(PackExperts(ffn, shape.num_experts)),
          std::make_shared<route::RandomRouter>(shape.num_experts, 3), 1.0);
      EXPECT_LT(RelativeError(sparse.Forward(x), model::DenseFeedForward(ffn).Forward(x)),
                tests::kSparseVersusDense);
      EXPECT_DOUBLE_EQ(sparse.counters().FfnRatio(), 1.0);
    }
  }
}

TEST(SparseFeedForward, RunsTheExpertsItsRouterPrefers) {
  const FfnShape shape{32, 8, 16};
  const model::FfnWeights ffn = tests::RandomFfn(shape, 1);
  const at::Tensor x = tests::RandomTokens(5, shape.hidden, 2);
  auto experts = std::make_shared<const ExpertWeights>(PackExperts(ffn, shape.num_experts));
  auto router = std::make_shared<route::OracleRouter>(ffn, shape.num_experts);
  SparseFeedForward sparse(experts, router, 0.25);
  const at::Tensor best = std::get<1>(router->Scores(x).topk(2, 1));
  EXPECT_TRUE(at::equal(sparse.Forward(x), RunExperts(*experts, x, best)));
}

TEST(SparseFeedForward, FusedAndSeparateRoutingAgree) {
  const FfnShape shape{64, 16, 12};
  const model::FfnWeights ffn = tests::RandomFfn(shape, 1);
  auto experts = std::make_shared<const ExpertWeights>(PackExperts(ffn, 16));
  auto router = std::make_shared<route::MlpRouter>(at::randn({16, 64}), at::randn({16, 16}));
  const at::Tensor x = tests::RandomTokens(40, 64, 2);
  SparseFeedForward sparse(experts, router, 0.25);
  EXPECT_FALSE(sparse.runs_densely());
  const at::Tensor chosen = SelectExperts(router->Scores(x), route::SelectionRule{4});
  EXPECT_LT(RelativeError(sparse.Forward(x), RunExperts(*experts, x, chosen)),
            tests::kSparseVersusDense);
}

TEST(SparseFeedForward, RunsDenselyWhereThatIsLessWork) {
  const FfnShape shape{64, 16, 12};
  const model::FfnWeights ffn = tests::RandomFfn(shape, 1);
  auto experts = std::make_shared<const ExpertWeights>(PackExperts(ffn, 16));
  auto router = std::make_shared<route::MlpRouter>(at::randn({16, 64}), at::randn({16, 16}));
  const at::Tensor x = tests::RandomTokens(5, 64, 2);
  // The router costs 2 * 16 * (64 + 16) FLOPs, an expert 4 * 12 * 64: 15 of 16 are worth routing.
  SparseFeedForward most(experts, router, route::SelectionRule{15});
  EXPECT_FALSE(most.runs_densely());
  SparseFeedForward all(experts, router, route::SelectionRule{16});
  EXPECT_TRUE(all.runs_densely());
  EXPECT_LT(RelativeError(all.Forward(x), model::DenseFeedForward(ffn).Forward(x)),
            tests::kSparseVersusDense);
  EXPECT_EQ(all.counters().dense_tokens, 5);
  EXPECT_EQ(all.counters().router_flops, 0);
  most.Forward(x);
  EXPECT_EQ(most.counters().dense_tokens, 0);
  route::SelectionRule cut{16};
  cut.threshold = 0;
  EXPECT_FALSE(SparseFeedForward(experts, router, cut).runs_densely());
  route::SelectionRule relative{16};
  relative.of_best = 0.1f;
  EXPECT_FALSE(SparseFeedForward(experts, router, relative).runs_densely());
}

TEST(SparseFeedForward, CountsUntilReset) {
  const FfnShape shape{32, 8, 16};
  auto router = std::make_shared<route::MlpRouter>(at::randn({8, 32}), at::randn({8, 8}));
  SparseFeedForward sparse(
      std::make_shared<const ExpertWeights>(PackExperts(tests::RandomFfn(shape, 1), 8)), router,
      0.25);
  sparse.Forward(tests::RandomTokens(3, 32, 2));
  sparse.Forward(tests::RandomTokens(4, 32, 3));
  EXPECT_EQ(sparse.counters().tokens, 7);
  EXPECT_EQ(sparse.counters().expert_tokens, 14);
  EXPECT_DOUBLE_EQ(sparse.counters().FfnRatio(), 0.25);
  EXPECT_DOUBLE_EQ(sparse.counters().router_flops, 7 * router->FlopsPerToken());
  EXPECT_GT(sparse.counters().seconds, 0);
  sparse.ResetCounters();
  EXPECT_EQ(sparse.counters().tokens, 0);
}

}  // namespace
}  // namespace moefy::runtime
