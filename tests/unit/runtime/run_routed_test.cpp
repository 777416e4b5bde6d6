// Router, selection and experts in one go.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <array>

#include "moefy/base/error.h"
#include "route/analytic_routers.h"
#include "route/learned_routers.h"
#include "runtime/run_experts.h"
#include "runtime/select_experts.h"
#include "support/tolerances.h"
#include "unit/runtime/every_way.h"
#include "unit/runtime/on_tensors.h"
#include "unit/runtime/reference.h"

namespace moefy::runtime {
namespace {

using model::Activation;
using route::SelectionRule;
using tests::FfnShape;
using tests::RunRouted;

struct Routed {
  model::FfnWeights ffn;
  at::Tensor w1, w2, x;
};

Routed MakeRouted(const FfnShape& shape, int64_t tokens) {
  at::Generator generator = at::detail::createCPUGenerator(5);
  const int64_t experts = shape.num_experts;
  return {tests::RandomFfn(shape, 1), at::randn({experts, shape.hidden}, generator),
          at::randn({experts, experts}, generator), tests::RandomTokens(tokens, shape.hidden, 2)};
}

TEST(RunRouted, ChoosesTheBestScoredOnEveryInstructionSet) {
  Targets targets;
  for (const auto& [hidden, num_experts, tokens] : {std::array<int64_t, 3>{256, 24, 70},
                                                    {33, 7, 5},
                                                    {40, 40, 1},
                                                    {16, 1, 3},
                                                    {272, 100, 600}}) {
    const FfnShape shape{hidden, num_experts, 3};
    const Routed in = MakeRouted(shape, tokens);
    const at::Tensor x = in.x.to(at::kDouble);
    const at::Tensor unit = at::tanh(at::mm(x, in.w1.t().to(at::kDouble)) / x.norm(2, {1}, true));
    const at::Tensor w2 = in.w2.t().to(at::kDouble);
    const at::Tensor scores = at::mm(unit, w2);
    const double allowed =
        tests::kRouterVersusDouble * at::mm(unit.abs(), w2.abs()).max().item<double>();
    const int64_t k = (num_experts + 2) / 3;
    const at::Tensor worst_wanted = std::get<0>(scores.topk(k, 1)).select(1, k - 1);
    const RouterWeights router = PackRouter(route::MlpRouter(in.w1, in.w2));
    for (const int64_t target : targets.all()) {
      SCOPED_TRACE(Targets::Name(target));
      targets.Use(target);
      const at::Tensor chosen = Route(router, SelectionRule{k}, in.x);
      ASSERT_EQ(chosen.sizes(), (std::vector<int64_t>{tokens, k}));
      const at::Tensor worst = scores.gather(1, chosen).amin(1);
      EXPECT_LE((worst_wanted - worst).max().item<double>(), 2 * allowed);
      const at::Tensor sorted = std::get<0>(chosen.sort(1));
      if (k > 1) {
        EXPECT_GT((sorted.narrow(1, 1, k - 1) - sorted.narrow(1, 0, k - 1)).min().item<int64_t>(),
                  0);
      }
    }
  }
}

// The other forms: one product, of x or of its direction.
TEST(RunRouted, ChoosesTheBestScoredByOneProduct) {
  Targets targets;
  for (const auto& [hidden, num_experts, tokens] :
       {std::array<int64_t, 3>{256, 24, 70}, {33, 7, 5}, {576, 192, 1}, {272, 100, 600}}) {
    const Routed in = MakeRouted({hidden, num_experts, 3}, tokens);
    at::Generator generator = at::detail::createCPUGenerator(6);
    const at::Tensor bias = at::randn({num_experts}, generator);
    const at::Tensor x = in.x.to(at::kDouble), w = in.w1.to(at::kDouble);
    const at::Tensor unit_w = w / w.norm(2, {1}, true);
    const at::Tensor linear = at::mm(x, w.t()) + bias.to(at::kDouble);
    const at::Tensor cosine = at::mm(x / x.norm(2, {1}, true), unit_w.t());
    const int64_t k = (num_experts + 2) / 3;
    const auto check = [&](const route::Router& router, const at::Tensor& scores,
                           WeightFormat format, double allowed) {
      const RouterWeights packed = PackRouter(router, format);
      const at::Tensor chosen = Route(packed, SelectionRule{k}, in.x);
      const at::Tensor worst_wanted = std::get<0>(scores.topk(k, 1)).select(1, k - 1);
      const at::Tensor worst = scores.gather(1, chosen).amin(1);
      EXPECT_LE((worst_wanted - worst).max().item<double>(),
                allowed * scores.abs().max().item<double>());
    };
    for (const int64_t target : targets.all()) {
      SCOPED_TRACE(StrCat(Targets::Name(target), ", ", hidden, " wide"));
      targets.Use(target);
      check(route::LinearRouter("ridge", in.w1, bias), linear, WeightFormat::kF32, 1e-5);
      check(route::LinearRouter("ridge", in.w1, bias), linear, WeightFormat::kInt8, 0.03);
      check(route::SimilarityRouter(in.w1), cosine, WeightFormat::kF32, 1e-5);
      check(route::SimilarityRouter(in.w1), cosine, WeightFormat::kInt8, 0.03);
    }
  }
}

TEST(RunRouted, IsRouteThenRunExpertsForAnyNumberOfThreads) {
  for (const WeightFormat format : kFormats) {
    for (const int64_t tokens : {0, 1, 9, 70, 530}) {
      const FfnShape shape{256, 20, 40, Activation::kRelu, false, true};
      const Routed in = MakeRouted(shape, tokens);
      const ExpertWeights experts = PackExperts(in.ffn, 20, format);
      const RouterWeights router = PackRouter(route::MlpRouter(in.w1, in.w2));
      const SelectionRule rule{4};
      SparseCounters counters;
      const at::Tensor y = RunRouted(experts, router, rule, in.x, &counters);
      EXPECT_EQ(counters.expert_tokens, 4 * tokens);
      EXPECT_TRUE(at::equal(y, RunExperts(experts, in.x, Route(router, rule, in.x))));
      for (const int count : {1, 2, 5}) {
        const ThreadCount threads(count);
        EXPECT_TRUE(at::equal(y, RunRouted(experts, router, rule, in.x))) << count << " threads";
      }
    }
  }
}

TEST(RunRouted, SharedExpertsAlwaysRunAndTheThresholdCutsTheRest) {
  const FfnShape shape{64, 10, 8};
  const Routed in = MakeRouted(shape, 30);
  const RouterWeights router = PackRouter(route::MlpRouter(in.w1, in.w2));
  SelectionRule rule{4};
  rule.num_shared = 2;
  at::Tensor chosen = Route(router, rule, in.x);
  EXPECT_TRUE((chosen.select(1, 0) == 0).all().item<bool>());
  EXPECT_TRUE((chosen.select(1, 1) == 1).all().item<bool>());
  const at::Tensor others = chosen.narrow(1, 2, 4);
  EXPECT_GE(others.min().item<int64_t>(), 2);
  rule.threshold = 1.5f;
  const at::Tensor cut = Route(router, rule, in.x);
  EXPECT_GE(cut.narrow(1, 0, 2).min().item<int64_t>(), 0);
  const at::Tensor scores = route::MlpRouter(in.w1, in.w2).Scores(in.x);
  const at::Tensor rest = cut.narrow(1, 2, 4);
  // -1 exactly where the expert that stood there scores too little (none is that close to it).
  const at::Tensor high = scores.gather(1, others) >= 1.5;
  EXPECT_TRUE(at::equal(rest >= 0, high));
  EXPECT_GT((rest < 0).sum().item<int64_t>(), 0);
  EXPECT_LT((rest < 0).sum().item<int64_t>(), rest.numel());
  EXPECT_TRUE(at::equal(SelectExperts(scores, rule), cut));
}

TEST(RunRouted, AThresholdAloneChoosesAsTheRoutersScoresSay) {
  for (const FfnShape& shape : {FfnShape{64, 10, 8}, FfnShape{256, 32, 32}}) {
    const Routed in = MakeRouted(shape, 513);
    SelectionRule rule{shape.num_experts};
    rule.threshold = 0.5f;
    const at::Tensor chosen = Route(PackRouter(route::MlpRouter(in.w1, in.w2)), rule, in.x);
    const at::Tensor scores = route::MlpRouter(in.w1, in.w2).Scores(in.x);
    // All that surely reach it, and none that surely do not.
    const int64_t count = (chosen >= 0).sum().item<int64_t>();
    EXPECT_GE(count, (scores >= 0.5 + 1e-4).sum().item<int64_t>());
    EXPECT_LE(count, (scores >= 0.5 - 1e-4).sum().item<int64_t>());
    EXPECT_GT(count, 0);
    EXPECT_LT(count, scores.numel());
  }
}

TEST(RunRouted, AShareOfTheBestChoosesByEachTokensOwnBest) {
  const FfnShape shape{64, 10, 8};
  const Routed in = MakeRouted(shape, 200);
  const at::Tensor scores = route::MlpRouter(in.w1, in.w2).Scores(in.x);
  for (const float of_best : {0.9f, 0.3f, -0.5f}) {
    SelectionRule rule{8};
    rule.num_shared = 2;
    rule.of_best = of_best;
    const at::Tensor chosen = SelectExperts(scores, rule);
    for (int64_t t = 0; t < 200; ++t) {
      std::vector<int64_t> wanted = {0, 1}, found;
      float best = scores[t][2].item<float>();
      for (int64_t e = 3; e < 10; ++e) best = std::max(best, scores[t][e].item<float>());
      const float least = best > 0 ? of_best * best : best;
      for (int64_t e = 2; e < 10; ++e) {
        if (scores[t][e].item<float>() >= least) wanted.push_back(e);
      }
      for (int64_t i = 0; i < 10; ++i) {
        if (const int64_t e = chosen[t][i].item<int64_t>(); e >= 0) found.push_back(e);
      }
      std::ranges::sort(found);
      EXPECT_EQ(found, wanted) << t;
    }
  }
}

}  // namespace
}  // namespace moefy::runtime
