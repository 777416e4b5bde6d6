// Experts of fewer neurons than a tile, of every size, on every instruction set.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "runtime/run_experts.h"
#include "runtime/small_tiles.h"
#include "support/tolerances.h"
#include "unit/runtime/every_way.h"
#include "unit/runtime/on_tensors.h"
#include "unit/runtime/reference.h"

namespace moefy::runtime {
namespace {

using model::Activation;
using tests::FfnShape;

// What the experts give, written into memory that is poisoned, and nothing around it.
at::Tensor RunPoisoned(const ExpertWeights& experts, const at::Tensor& x,
                       const at::Tensor& chosen) {
  constexpr float kPoison = 12345;
  constexpr int64_t kAround = 64;
  at::Tensor memory = at::full({x.numel() + 2 * kAround}, kPoison);
  float* const y = memory.data_ptr<float>() + kAround;
  RunExpertRows(experts, x.data_ptr<float>(), x.size(0), chosen.data_ptr<int64_t>(), chosen.size(1),
                y, nullptr);
  EXPECT_TRUE((memory.narrow(0, 0, kAround) == kPoison).all().item<bool>());
  EXPECT_TRUE((memory.narrow(0, x.numel() + kAround, kAround) == kPoison).all().item<bool>());
  return memory.narrow(0, kAround, x.numel()).view(x.sizes());
}

struct Shape {
  int64_t hidden, tokens;
  Activation activation;
  bool gated;
};
// A panel and a strip and their rests; groups of 64 and theirs; blocks of tokens and theirs.
const Shape kShapes[] = {{37, 7, Activation::kGelu, false},
                         {130, 1, Activation::kRelu, false},
                         {96, 150, Activation::kGelu, false},
                         {65, 12, Activation::kSilu, true}};

TEST(SmallExperts, OfEverySizeEqualADoublePrecisionLoopOnEveryInstructionSetInEveryFormat) {
  const Targets targets;
  for (const Shape& s : kShapes) {
    SCOPED_TRACE(s.hidden);
    for (int64_t size = 1; size < kTileNeurons; ++size) {
      if (s.tokens > 100 && size % 5 != 2) continue;
      SCOPED_TRACE(size);
      const FfnShape shape{s.hidden, 9, size, s.activation, s.gated, true};
      const model::FfnWeights ffn = tests::RandomFfn(shape, 1);
      const at::Tensor x = tests::RandomTokens(s.tokens, s.hidden, 2);
      const at::Tensor chosen = tests::RandomChoice(s.tokens, 9, 4, 3);
      const tests::Reference reference = tests::ReferenceExperts(ffn, 9, x, chosen);
      for (const WeightFormat format :
           {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kInt8}) {
        SCOPED_TRACE(WeightFormatName(format));
        const ExpertWeights experts = PackExperts(ffn, 9, format);
        ASSERT_TRUE(experts.small());
        // Weights are not rounded for the reference: that is within what 8 and 16 bits may cost.
        const double limit = format == WeightFormat::kF32   ? tests::kKernelVersusDouble
                             : format == WeightFormat::kF16 ? tests::kF16VersusF32
                                                            : tests::kInt8VersusDouble;
        for (const int64_t way : targets.all()) {
          SCOPED_TRACE(Targets::Name(way));
          targets.Use(way);
          const at::Tensor y = RunPoisoned(experts, x, chosen);
          const at::Tensor error = (y.to(at::kDouble) - reference.y).abs() / reference.scale;
          EXPECT_LT(error.max().item<double>(), limit);
        }
      }
    }
  }
}

TEST(SmallExperts, DoNotDependOnCompanyOrThreads) {
  for (const WeightFormat format : kFormats) {
    SCOPED_TRACE(WeightFormatName(format));
    for (const int64_t size : {1, 2, 3, 8, 12, 16, 31}) {
      SCOPED_TRACE(size);
      const FfnShape shape{200, 64, size, Activation::kRelu, false, true};
      const ExpertWeights experts = PackExperts(tests::RandomFfn(shape, 1), 64, format);
      const at::Tensor x = tests::RandomTokens(300, 200, 2);
      const at::Tensor chosen = tests::RandomChoice(300, 64, 9, 3);
      const auto run = [&](int threads) {
        const ThreadCount count(threads);
        return RunExperts(experts, x, chosen);
      };
      const at::Tensor together = run(1);
      EXPECT_TRUE(at::equal(run(2), together));
      EXPECT_TRUE(at::equal(run(5), together));
      for (const int64_t t : {0, 63, 127, 128, 299}) {
        const at::Tensor alone = RunExperts(experts, x.narrow(0, t, 1), chosen.narrow(0, t, 1));
        EXPECT_TRUE(at::equal(alone, together.narrow(0, t, 1))) << "token " << t;
      }
      const at::Tensor few = RunExperts(experts, x.narrow(0, 5, 7), chosen.narrow(0, 5, 7).flip(1));
      EXPECT_TRUE(at::equal(few, together.narrow(0, 5, 7)));
    }
  }
}

TEST(SmallExperts, AllOfThemIsEveryOneChosen) {
  for (const WeightFormat format : kFormats) {
    for (const int64_t size : {1, 2, 6, 16}) {
      const FfnShape shape{72, 10, size, Activation::kGelu, true, false};
      const ExpertWeights experts = PackExperts(tests::RandomFfn(shape, 1), 10, format);
      const at::Tensor x = tests::RandomTokens(600, 72, 2);
      const at::Tensor every = at::arange(10, at::kLong).repeat({600, 1});
      EXPECT_TRUE(at::equal(tests::RunAllExperts(experts, x), RunExperts(experts, x, every)));
    }
  }
}

// In 8 bits too: sums begin with the terms of all experts and lose those of experts that run.
TEST(SmallExperts, CompensationAndSmallNeurons) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kInt8}) {
    SCOPED_TRACE(WeightFormatName(format));
    for (const int64_t size : {2, 3, 8, 12}) {
      SCOPED_TRACE(size);
      const FfnShape shape{150, 12, size, Activation::kSilu, true, true};
      const ExpertWeights plain = PackExperts(tests::RandomFfn(shape, 1), 12, format);
      const at::Tensor x = tests::RandomTokens(20, 150, 2);
      const at::Tensor chosen = tests::RandomChoice(20, 12, 5, 3);
      const at::Tensor y = RunExperts(plain, x, chosen);
      const at::Tensor terms = at::randn({12, 150});
      const at::Tensor ran = at::zeros({20, 12}).scatter_(1, chosen, 1.0);
      const at::Tensor wanted = y + at::mm(1 - ran, terms);
      const at::Tensor compensated = RunExperts(WithCompensation(plain, terms), x, chosen);
      EXPECT_LT(((compensated - wanted).abs().max() / wanted.abs().max()).item<double>(),
                tests::kCompensation);
      // A limit that nothing reaches leaves everything out; none leaves nothing out.
      const ExpertWeights none = WithMinMagnitude(plain, at::zeros({12 * size}));
      EXPECT_TRUE(at::equal(RunExperts(none, x, chosen), y));
      const at::Tensor huge = at::full({12 * size}, 1e9);
      const at::Tensor silent = RunExperts(WithMinMagnitude(plain, huge), x, chosen);
      EXPECT_TRUE(at::equal(silent[0], silent[19]));
      EXPECT_FALSE(at::equal(y[0], silent[0]));
    }
  }
}

TEST(SmallExperts, ANumberThatIsNotFiniteSpoilsItsTokenAlone) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kInt8}) {
    for (const int64_t size : {2, 3, 8}) {
      // An odd number of columns: what is read past a row's end is the next token's.
      const FfnShape shape{37, 10, size, Activation::kRelu, false, false};
      const ExpertWeights experts = PackExperts(tests::RandomFfn(shape, 1), 10, format);
      const at::Tensor chosen = tests::RandomChoice(9, 10, 4, 3);
      const at::Tensor x = tests::RandomTokens(9, 37, 2);
      at::Tensor spoilt = x.clone();
      spoilt[4].fill_(std::nanf(""));
      tests::ExpectSpoilsOneToken(experts, x, spoilt, 4, chosen);
    }
  }
}

}  // namespace
}  // namespace moefy::runtime
