#include "export/router_rows.h"

#include <gtest/gtest.h>

#include <cmath>

#include "route/learned_routers.h"

namespace moefy::exports {
namespace {

constexpr double kSpread = 0x1p-12;

// The scores of normed inputs, relative to each token's mean.
at::Tensor Spread(const RouterRows& rows, const at::Tensor& x) {
  const at::Tensor scores = x.mm(rows.w.t()) + rows.b;
  return scores - scores.mean(1, true);
}

TEST(Flat, ChoosesTheSameAndIsFlat) {
  at::manual_seed(1);
  const at::Tensor norm = at::rand({64}) + 0.5;
  const RouterRows rows{at::randn({20, 64}) * 3 + at::randn({1, 64}) * 10, at::randn({20})};
  const RouterRows flat = Flat(rows, norm, kSpread);
  at::Tensor x = at::randn({500, 64});
  x = x / x.square().mean(1, true).sqrt() * norm;
  const at::Tensor before = Spread(rows, x), after = Spread(flat, x);
  const double scale = after.norm().item<double>() / before.norm().item<double>();
  EXPECT_NEAR(std::log2(scale), std::round(std::log2(scale)), 1e-6);  // a power of two
  EXPECT_LT((after / scale - before).abs().max().item<double>(), 1e-3);
  const double spread = after.square().mean().sqrt().item<double>();
  EXPECT_GT(spread, kSpread / 2);
  EXPECT_LT(spread, kSpread * 2);
  EXPECT_LT(flat.w.mean(0).abs().max().item<double>(), 1e-7);
}

TEST(Flat, TakesRoutersThatSayNothing) {
  const RouterRows flat = Flat({at::ones({4, 8}), at::zeros({4})}, at::ones({8}), 1);
  EXPECT_TRUE(flat.w.eq(0).all().item<bool>());
}

TEST(RowsOf, ScoresAsTheRouterDoes) {
  at::manual_seed(2);
  route::LowRankRouter router(at::randn({3, 16}), at::randn({5, 3}), at::randn({5}));
  const at::Tensor x = at::randn({7, 16});
  const RouterRows rows = RowsOf(router);
  EXPECT_LT((x.mm(rows.w.t()) + rows.b - router.Scores(x)).abs().max().item<double>(), 1e-4);
  EXPECT_TRUE(HasBias(rows));
  EXPECT_FALSE(HasBias({rows.w, at::full({5}, 3.0)}));
  EXPECT_FALSE(IsLinear("mlp"));
}

}  // namespace
}  // namespace moefy::exports
