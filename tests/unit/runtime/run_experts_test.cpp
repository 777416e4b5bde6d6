#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include "moefy/base/error.h"
#include "moefy/runtime/sparse_ffn.h"
#include "support/tolerances.h"
#include "unit/runtime/reference.h"

namespace moefy::runtime {
namespace {

using model::Activation;
using tests::FfnShape;

struct Case {
  const char* name;
  FfnShape shape;
  int64_t tokens;
  int64_t k;
};

const Case kCases[] = {
    {"one token", {64, 8, 32}, 1, 3},
    {"t5 tile", {128, 16, 32}, 40, 4},
    {"one neuron per expert", {40, 24, 1}, 7, 5},
    {"one expert", {48, 1, 70}, 9, 1},
    {"all experts", {33, 6, 5}, 11, 6},
    {"hidden 1", {1, 4, 8}, 5, 2},
    {"hidden just over a panel", {130, 4, 16}, 6, 2},
    {"hidden under a panel", {112, 4, 16}, 20, 2},
    {"tile and a rest", {50, 3, 37}, 14, 2},
    {"two tiles and a half", {72, 3, 80}, 13, 2},
    {"aliasing rows", {256, 4, 24}, 60, 2},
    {"several chunks", {24, 4, 9}, 1100, 2},
    {"biases", {36, 5, 20, Activation::kRelu, false, true}, 10, 3},
    {"gelu", {36, 5, 20, Activation::kGelu, false, true}, 10, 3},
    {"gelu tanh", {36, 5, 20, Activation::kGeluTanh}, 10, 3},
    {"silu", {36, 5, 20, Activation::kSilu}, 1, 3},
    {"gated silu", {36, 5, 40, Activation::kSilu, true}, 15, 3},
    {"gated relu, biases", {36, 5, 20, Activation::kRelu, true, true}, 10, 3},
    {"gated gelu tanh, biases", {130, 5, 33, Activation::kGeluTanh, true, true}, 30, 4},
};

struct Inputs {
  model::FfnWeights ffn;
  at::Tensor x, chosen;
};

Inputs MakeInputs(const Case& c) {
  return {tests::RandomFfn(c.shape, 1), tests::RandomTokens(c.tokens, c.shape.hidden, 2),
          tests::RandomChoice(c.tokens, c.shape.num_experts, c.k, 3)};
}

double ErrorInScale(const at::Tensor& y, const tests::Reference& reference) {
  return ((y.to(at::kDouble) - reference.y).abs() / reference.scale.clamp_min(1e-30))
      .max()
      .item<double>();
}

class ThreadCount {
 public:
  explicit ThreadCount(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~ThreadCount() { at::set_num_threads(before_); }

 private:
  int before_;
};

// Every instruction set of this machine, and the choice made back at the end.
class Targets {
 public:
  std::vector<int64_t> all() const {
    std::vector<int64_t> targets;
    for (int64_t rest = hwy::SupportedTargets() & HWY_TARGETS; rest; rest &= rest - 1) {
      targets.push_back(rest & -rest);
    }
    return targets;
  }
  void Use(int64_t target) const {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ~Targets() {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

TEST(RunExperts, EqualsADoublePrecisionLoopOnEveryInstructionSet) {
  Targets targets;
  const std::vector<int64_t> all = targets.all();
  ASSERT_FALSE(all.empty());
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const Inputs in = MakeInputs(c);
    const tests::Reference reference =
        tests::ReferenceExperts(in.ffn, c.shape.num_experts, in.x, in.chosen);
    const ExpertWeights experts = PackExperts(in.ffn, c.shape.num_experts);
    for (const int64_t target : all) {
      SCOPED_TRACE(hwy::TargetName(target));
      targets.Use(target);
      const at::Tensor y = RunExperts(experts, in.x, in.chosen);
      ASSERT_EQ(y.sizes(), in.x.sizes());
      EXPECT_LT(ErrorInScale(y, reference), tests::kKernelVersusDouble);
    }
  }
}

TEST(RunExperts, DoesNotDependOnThreads) {
  // Large enough for more than one thread to be worth it.
  for (const Activation activation : {Activation::kRelu, Activation::kGelu}) {
    const Case c{"", {272, 16, 40, activation, false, true}, 70, 5};
    const Inputs in = MakeInputs(c);
    const ExpertWeights experts = PackExperts(in.ffn, c.shape.num_experts);
    at::Tensor one, two, five;
    {
      const ThreadCount threads(1);
      one = RunExperts(experts, in.x, in.chosen);
    }
    {
      const ThreadCount threads(2);
      two = RunExperts(experts, in.x, in.chosen);
    }
    {
      const ThreadCount threads(5);
      five = RunExperts(experts, in.x, in.chosen);
    }
    EXPECT_TRUE(at::equal(one, two));
    EXPECT_TRUE(at::equal(one, five));
  }
}

TEST(RunExperts, DoesNotDependOnTheOtherTokens) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const Inputs in = MakeInputs(c);
    const ExpertWeights experts = PackExperts(in.ffn, c.shape.num_experts);
    const at::Tensor together = RunExperts(experts, in.x, in.chosen);
    for (const int64_t t : {int64_t{0}, c.tokens / 2, c.tokens - 1}) {
      const at::Tensor alone = RunExperts(experts, in.x.narrow(0, t, 1), in.chosen.narrow(0, t, 1));
      EXPECT_TRUE(at::equal(alone, together.narrow(0, t, 1))) << "token " << t;
    }
  }
}

TEST(RunExperts, OrderOfTheChosenExpertsDoesNotMatter) {
  const Case c{"", {64, 8, 32}, 12, 4};
  const Inputs in = MakeInputs(c);
  const ExpertWeights experts = PackExperts(in.ffn, c.shape.num_experts);
  EXPECT_TRUE(at::equal(RunExperts(experts, in.x, in.chosen),
                        RunExperts(experts, in.x, in.chosen.flip(1))));
}

TEST(RunExperts, NoTokens) {
  const Case c{"", {24, 4, 8, Activation::kRelu, false, true}, 3, 2};
  const Inputs in = MakeInputs(c);
  const ExpertWeights experts = PackExperts(in.ffn, c.shape.num_experts);
  SparseCounters counters;
  const at::Tensor y =
      RunExperts(experts, in.x.narrow(0, 0, 0), in.chosen.narrow(0, 0, 0), &counters);
  EXPECT_EQ(y.sizes(), (std::vector<int64_t>{0, 24}));
  EXPECT_EQ(counters.expert_loads, 0);
}

TEST(RunExperts, LeavesItsInputAloneAndReadsViews) {
  const Case c{"", {24, 4, 8}, 6, 2};
  const Inputs in = MakeInputs(c);
  const ExpertWeights experts = PackExperts(in.ffn, c.shape.num_experts);
  const at::Tensor before = in.x.clone();
  const at::Tensor y = RunExperts(experts, in.x, in.chosen);
  EXPECT_TRUE(at::equal(in.x, before));
  const at::Tensor strided = in.x.t().contiguous().t();
  EXPECT_TRUE(at::equal(RunExperts(experts, strided, in.chosen.t().contiguous().t()), y));
}

TEST(RunExperts, NotANumberIsNotHidden) {
  const Case c{"", {24, 4, 8}, 2, 2};
  const Inputs in = MakeInputs(c);
  in.x[1].fill_(std::nan(""));
  const at::Tensor y = RunExperts(PackExperts(in.ffn, 4), in.x, in.chosen);
  EXPECT_FALSE(at::isnan(y[0]).any().item<bool>());
  EXPECT_TRUE(at::isnan(y[1]).all().item<bool>());
}

TEST(RunExperts, CountsWhatItDoes) {
  const FfnShape shape{16, 6, 4, Activation::kSilu, true, true};
  const ExpertWeights experts = PackExperts(tests::RandomFfn(shape, 1), shape.num_experts);
  EXPECT_EQ(experts.ExpertBytes(), (3 * 4 * 16 + 4) * 4);
  const at::Tensor x = tests::RandomTokens(3, 16, 2);
  const at::Tensor chosen = at::tensor({0, 2, 2, 5, 5, 0}, at::kLong).view({3, 2});
  SparseCounters counters;
  RunExperts(experts, x, chosen, &counters);
  EXPECT_EQ(counters.tokens, 3);
  EXPECT_EQ(counters.expert_tokens, 6);
  EXPECT_EQ(counters.neurons_evaluated, 24);
  EXPECT_EQ(counters.neurons_total, 3 * 24);
  EXPECT_EQ(counters.expert_loads, 3);  // experts 0, 2 and 5, each once
  EXPECT_EQ(counters.weight_bytes_read, 3 * experts.ExpertBytes());
  EXPECT_EQ(counters.expert_flops, 2.0 * 24 * 3 * 16);
  EXPECT_DOUBLE_EQ(counters.FfnRatio(), 1.0 / 3);
  RunExperts(experts, x, chosen, &counters);
  EXPECT_EQ(counters.expert_loads, 6);
  SparseCounters sum = counters;
  sum += counters;
  EXPECT_EQ(sum.weight_bytes_read, 12 * experts.ExpertBytes());
}

// The weights of experts that were not chosen may be anything: nothing of them is used.
TEST(RunExperts, ReadsOnlyTheChosenExperts) {
  const Case c{"", {40, 8, 12}, 9, 2};
  const Inputs in = MakeInputs(c);
  const at::Tensor chosen = in.chosen.remainder(3) * 2 + at::tensor({0, 1}, at::kLong);
  const at::Tensor y = RunExperts(PackExperts(in.ffn, 8), in.x, chosen);
  model::FfnWeights poisoned = in.ffn;
  poisoned.w_in = in.ffn.w_in.clone();
  poisoned.w_out = in.ffn.w_out.clone();
  for (const at::Tensor& w : {poisoned.w_in, poisoned.w_out}) {
    w.narrow(0, 6 * 12, 2 * 12).fill_(std::nan(""));
  }
  EXPECT_TRUE(at::equal(RunExperts(PackExperts(poisoned, 8), in.x, chosen), y));
}

TEST(PackExperts, RefusesWhatDoesNotFit) {
  model::FfnWeights ffn = tests::RandomFfn({16, 6, 4}, 1);
  const auto message = [](const model::FfnWeights& weights, int64_t num_experts) -> std::string {
    try {
      PackExperts(weights, num_experts);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(message(ffn, 5), testing::HasSubstr("24 neurons into 5 experts"));
  EXPECT_THAT(message(ffn, 0), testing::HasSubstr("into 0 experts"));
  ffn.w_out = ffn.w_out.t();
  EXPECT_THAT(message(ffn, 6), testing::HasSubstr("W_out has shape [16, 24]; expected [24, 16]"));
}

}  // namespace
}  // namespace moefy::runtime
