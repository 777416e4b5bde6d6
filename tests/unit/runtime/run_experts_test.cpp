#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "moefy/base/error.h"
#include "runtime/run_experts.h"
#include "support/tolerances.h"
#include "unit/runtime/every_way.h"
#include "unit/runtime/on_tensors.h"
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

Activation FatRelu(double threshold) {
  Activation activation = Activation::kFatRelu;
  activation.threshold = threshold;
  return activation;
}

Activation OnBoth(Activation activation) {
  activation.on_both = true;
  return activation;
}

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
    {"relu2", {36, 5, 20, Activation::kRelu2, false, true}, 10, 3},
    {"relu6", {36, 5, 20, Activation::kRelu6}, 10, 3},
    {"fatrelu", {36, 5, 20, FatRelu(0.2)}, 10, 3},
    {"gated fatrelu, biases", {130, 5, 33, FatRelu(0.01), true, true}, 30, 4},
    {"leaky relu", {36, 5, 20, Activation::kLeakyRelu}, 10, 3},
    {"gelu 10", {36, 5, 20, Activation::kGelu10}, 10, 3},
    {"quick gelu", {36, 5, 20, Activation::kQuickGelu}, 10, 3},
    {"mish", {36, 5, 20, Activation::kMish}, 10, 3},
    {"relu on both", {36, 5, 40, OnBoth(Activation::kRelu), true, true}, 15, 3},
    {"gated gelu tanh, biases", {130, 5, 33, Activation::kGeluTanh, true, true}, 30, 4},
};

struct ExpertInputs {
  model::FfnWeights ffn;
  at::Tensor x, chosen;
};

ExpertInputs MakeInputs(const Case& c) {
  return {tests::RandomFfn(c.shape, 1), tests::RandomTokens(c.tokens, c.shape.hidden, 2),
          tests::RandomChoice(c.tokens, c.shape.num_experts, c.k, 3)};
}

double ErrorInScale(const at::Tensor& y, const tests::Reference& reference) {
  return ((y.to(at::kDouble) - reference.y).abs() / reference.scale.clamp_min(1e-30))
      .max()
      .item<double>();
}

// The weights that a format really holds, as F32.
at::Tensor Rounded(const at::Tensor& w, WeightFormat format, int64_t scaled_dim = 1) {
  if (!w.defined()) return w;
  switch (format) {
    case WeightFormat::kF32:
      break;
    case WeightFormat::kBf16:
      return w.to(at::kBFloat16).to(at::kFloat);
    case WeightFormat::kF16:
      return w.to(at::kHalf).to(at::kFloat);
    case WeightFormat::kInt4:
      if (scaled_dim == 1) return HeldInInt4(w);
      [[fallthrough]];  // W_out
    case WeightFormat::kInt8: {
      const at::Tensor scale = w.abs().amax(scaled_dim, true).to(at::kDouble) / 127;
      return ((w.to(at::kDouble) / scale).round() * scale).to(at::kFloat);
    }
  }
  return w;
}

model::FfnWeights Rounded(model::FfnWeights ffn, WeightFormat format) {
  ffn.w_in = Rounded(ffn.w_in, format);
  ffn.w_gate = Rounded(ffn.w_gate, format);
  ffn.w_out = Rounded(ffn.w_out, format, 0);
  return ffn;
}

TEST(RunExperts, EqualsADoublePrecisionLoopOnEveryInstructionSetInEveryFormat) {
  Targets targets;
  const std::vector<int64_t> all = targets.all();
  ASSERT_FALSE(all.empty());
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const ExpertInputs in = MakeInputs(c);
    for (const WeightFormat format : kFormats) {
      SCOPED_TRACE(WeightFormatName(format));
      const tests::Reference reference =
          tests::ReferenceExperts(Rounded(in.ffn, format), c.shape.num_experts, in.x, in.chosen);
      const ExpertWeights experts = PackExperts(in.ffn, c.shape.num_experts, format);
      const bool quantized = IsQuantized(format);
      for (const int64_t target : all) {
        SCOPED_TRACE(Targets::Name(target));
        targets.Use(target);
        const at::Tensor y = RunExperts(experts, in.x, in.chosen);
        ASSERT_EQ(y.sizes(), in.x.sizes());
        EXPECT_LT(ErrorInScale(y, reference),
                  quantized ? tests::kInt8VersusDouble : tests::kKernelVersusDouble);
      }
    }
  }
}

TEST(RunExperts, NarrowWeightsAreCloseToF32) {
  const std::pair<WeightFormat, double> limits[] = {{WeightFormat::kBf16, tests::kBf16VersusF32},
                                                    {WeightFormat::kF16, tests::kF16VersusF32},
                                                    {WeightFormat::kInt8, tests::kInt8VersusF32}};
  for (const bool gated : {false, true}) {
    const Case c{"", {128, 8, 32, Activation::kRelu, gated}, 50, 3};
    const ExpertInputs in = MakeInputs(c);
    const at::Tensor wanted = RunExperts(PackExperts(in.ffn, 8), in.x, in.chosen);
    for (const auto& [format, limit] : limits) {
      const at::Tensor y = RunExperts(PackExperts(in.ffn, 8, format), in.x, in.chosen);
      const double error = ((y - wanted).norm() / wanted.norm()).item<double>();
      EXPECT_LT(error, limit) << WeightFormatName(format);
      EXPECT_GT(error, limit / 20) << WeightFormatName(format) << " is not in use";
    }
  }
}

TEST(RunExperts, TokensMayHaveListsOfDifferentLengths) {
  const FfnShape shape{48, 6, 10, Activation::kGelu, true, true};
  const model::FfnWeights ffn = tests::RandomFfn(shape, 1);
  const ExpertWeights experts = PackExperts(ffn, 6);
  const at::Tensor x = tests::RandomTokens(3, 48, 2);
  const at::Tensor chosen = at::tensor({4, -1, 1, -1, -1, -1, 0, 5, 3}, at::kLong).view({3, 3});
  SparseCounters counters;
  const at::Tensor y = RunExperts(experts, x, chosen, &counters);
  EXPECT_EQ(counters.expert_tokens, 5);
  const auto row = [&](int64_t t, at::IntArrayRef list) {
    const at::Tensor one = at::tensor(list, at::kLong).view({1, -1});
    EXPECT_TRUE(at::equal(y.narrow(0, t, 1), RunExperts(experts, x.narrow(0, t, 1), one)));
  };
  row(0, {4, 1});
  row(2, {0, 5, 3});
  EXPECT_TRUE(at::equal(y[1], ffn.b_out));  // nothing ran
}

TEST(RunExperts, AllExpertsIsEveryExpertChosen) {
  for (const WeightFormat format : kFormats) {
    const FfnShape shape{72, 5, 40, Activation::kRelu, false, true};
    const ExpertWeights experts = PackExperts(tests::RandomFfn(shape, 1), 5, format);
    const at::Tensor x = tests::RandomTokens(600, 72, 2);
    const at::Tensor every = at::arange(5, at::kLong).repeat({600, 1});
    SparseCounters counters;
    EXPECT_TRUE(
        at::equal(tests::RunAllExperts(experts, x, &counters), RunExperts(experts, x, every)));
    EXPECT_DOUBLE_EQ(counters.FfnRatio(), 1.0);
    EXPECT_EQ(tests::RunAllExperts(experts, x.narrow(0, 0, 0)).sizes(),
              (std::vector<int64_t>{0, 72}));
  }
}

TEST(WithCompensation, AddsTheTermsOfExpertsThatDoNotRun) {
  for (const bool biases : {false, true}) {
    const FfnShape shape{150, 6, 33, Activation::kRelu, false, biases};
    const model::FfnWeights ffn = tests::RandomFfn(shape, 1);
    const ExpertWeights plain = PackExperts(ffn, 6);
    const at::Tensor terms = at::randn({6, 150});
    const ExpertWeights compensated = WithCompensation(plain, terms);
    const at::Tensor x = tests::RandomTokens(20, 150, 2);
    const at::Tensor chosen = tests::RandomChoice(20, 6, 2, 3);
    const at::Tensor ran = at::zeros({20, 6}).scatter_(1, chosen, 1.0);
    const at::Tensor wanted = RunExperts(plain, x, chosen) + at::mm(1 - ran, terms);
    const at::Tensor y = RunExperts(compensated, x, chosen);
    EXPECT_LT(((y - wanted).abs().max() / wanted.abs().max()).item<double>(), tests::kCompensation);
    EXPECT_GT((y - RunExperts(plain, x, chosen)).abs().max().item<double>(), 0.1);
  }
  const ExpertWeights experts = PackExperts(tests::RandomFfn({16, 6, 4}, 1), 6);
  EXPECT_THROW(WithCompensation(experts, at::zeros({5, 16})), Error);
}

TEST(WithMinMagnitude, NeuronsThatGiveLessCountForNothingOnEveryInstructionSet) {
  for (const bool gated : {false, true}) {
    const FfnShape shape{150, 6, 33, gated ? Activation::kSilu : Activation::kRelu, gated, true};
    const model::FfnWeights ffn = tests::RandomFfn(shape, 1);
    const at::Tensor x = tests::RandomTokens(20, 150, 2);
    const at::Tensor chosen = tests::RandomChoice(20, 6, 2, 3);
    const at::Tensor least = at::rand({6 * 33});
    const at::Tensor neurons = model::NeuronActivations(ffn, x);
    const at::Tensor runs = at::zeros({20, 6}).scatter_(1, chosen, 1.0).repeat_interleave(33, 1);
    const at::Tensor kept = (neurons * runs).masked_fill(neurons.abs() < least, 0);
    const at::Tensor wanted = at::mm(kept, ffn.w_out) + ffn.b_out;
    const ExpertWeights experts = WithMinMagnitude(PackExperts(ffn, 6), least);
    const Targets targets;
    for (const int64_t target : targets.all()) {
      targets.Use(target);
      SparseCounters counters;
      const at::Tensor y = RunExperts(experts, x, chosen, &counters);
      EXPECT_LT(((y - wanted).abs().max() / wanted.abs().max()).item<double>(),
                tests::kCompensation);
      const auto live = static_cast<double>((kept != 0).sum().item<int64_t>());
      const double first = 20.0 * 2 * 33 * (gated ? 2 : 1);
      EXPECT_DOUBLE_EQ(counters.expert_flops, 2 * 150 * (first + live));
    }
    EXPECT_THROW(WithMinMagnitude(experts, at::zeros({5})), Error);
  }
}

TEST(RunExperts, DoesNotDependOnThreads) {
  // Large enough for more than one thread to be worth it.
  for (const Activation activation : {Activation::kRelu, Activation::kGelu}) {
    const Case c{"", {272, 16, 40, activation, false, true}, 70, 5};
    const ExpertInputs in = MakeInputs(c);
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
    const ExpertInputs in = MakeInputs(c);
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
  const ExpertInputs in = MakeInputs(c);
  const ExpertWeights experts = PackExperts(in.ffn, c.shape.num_experts);
  EXPECT_TRUE(at::equal(RunExperts(experts, in.x, in.chosen),
                        RunExperts(experts, in.x, in.chosen.flip(1))));
}

TEST(RunExperts, NoTokens) {
  const Case c{"", {24, 4, 8, Activation::kRelu, false, true}, 3, 2};
  const ExpertInputs in = MakeInputs(c);
  const ExpertWeights experts = PackExperts(in.ffn, c.shape.num_experts);
  SparseCounters counters;
  const at::Tensor y =
      RunExperts(experts, in.x.narrow(0, 0, 0), in.chosen.narrow(0, 0, 0), &counters);
  EXPECT_EQ(y.sizes(), (std::vector<int64_t>{0, 24}));
  EXPECT_EQ(counters.expert_loads, 0);
}

TEST(RunExperts, LeavesItsInputAloneAndReadsViews) {
  const Case c{"", {24, 4, 8}, 6, 2};
  const ExpertInputs in = MakeInputs(c);
  const ExpertWeights experts = PackExperts(in.ffn, c.shape.num_experts);
  const at::Tensor before = in.x.clone();
  const at::Tensor y = RunExperts(experts, in.x, in.chosen);
  EXPECT_TRUE(at::equal(in.x, before));
  const at::Tensor strided = in.x.t().contiguous().t();
  EXPECT_TRUE(at::equal(RunExperts(experts, strided, in.chosen.t().contiguous().t()), y));
}

TEST(RunExperts, NotANumberIsNotHidden) {
  const Case c{"", {24, 4, 8}, 2, 2};
  const ExpertInputs in = MakeInputs(c);
  in.x[1].fill_(std::nan(""));
  const at::Tensor y = RunExperts(PackExperts(in.ffn, 4), in.x, in.chosen);
  EXPECT_FALSE(at::isnan(y[0]).any().item<bool>());
  EXPECT_TRUE(at::isnan(y[1]).all().item<bool>());
}

TEST(RunExperts, CountsWhatItDoes) {
  const FfnShape shape{16, 6, 4, Activation::kSilu, true, true};
  const ExpertWeights experts = PackExperts(tests::RandomFfn(shape, 1), shape.num_experts);
  EXPECT_EQ(experts.ExpertBytes(), (3 * 4 * 16 + 2 * 4) * 4);  // matrices, b_in and b_gate
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
  const ExpertInputs in = MakeInputs(c);
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
