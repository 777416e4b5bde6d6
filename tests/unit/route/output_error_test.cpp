#include "route/output_error.h"

#include <gtest/gtest.h>

#include <cmath>

#include "route/analytic_routers.h"
#include "route/compensation.h"
#include "route/output_fit.h"
#include "route/top_k.h"

namespace moefy::route {
namespace {

constexpr int64_t kExperts = 8, kSize = 4, kHidden = 12;

// `orthogonal`: the experts put out in directions of their own, so that none undoes another's.
model::FfnWeights SmallFfn(bool gated, bool orthogonal = false) {
  at::manual_seed(7);
  model::FfnWeights ffn;
  const int64_t hidden = orthogonal ? kExperts * kSize : kHidden;
  ffn.w_in = at::randn({kExperts * kSize, hidden});
  ffn.b_in = at::randn({kExperts * kSize});
  if (gated) ffn.w_gate = at::randn({kExperts * kSize, hidden});
  ffn.w_out = orthogonal ? at::eye(hidden) : at::randn({kExperts * kSize, hidden});
  ffn.b_out = at::randn({hidden});
  ffn.activation = gated ? model::Activation::kSilu : model::Activation::kRelu;
  return ffn;
}

at::Tensor AllOn(int64_t tokens) { return at::ones({tokens, kExperts}, at::kBool); }

TEST(OutputSample, ErrorIsOfTheOutputAndNothingWhenAllExpertsRun) {
  for (const bool gated : {false, true}) {
    const model::FfnWeights ffn = SmallFfn(gated);
    const at::Tensor x = at::randn({50, kHidden});
    const OutputSample sample(ffn, x, kExperts);
    EXPECT_EQ(sample.Error({AllOn(50)}), 0);
    EXPECT_NEAR(sample.Error({AllOn(50).logical_not()}), 1, 1e-6);
    EXPECT_EQ(sample.NeuronOracleError(1.0), 0);
    // By hand, for some choice.
    const at::Tensor runs = at::rand({50, kExperts}) < 0.5;
    const at::Tensor neurons = model::NeuronActivations(ffn, x);
    const at::Tensor kept = neurons * runs.repeat_interleave(kSize, 1);
    const at::Tensor y = at::mm(neurons, ffn.w_out);
    const double expected =
        ((at::mm(kept, ffn.w_out) - y).square().sum() / y.square().sum()).item<double>();
    EXPECT_NEAR(sample.Error({runs}), expected, 1e-4);
    EXPECT_NEAR(sample.Error({runs}, {{}, ffn.w_out}), expected, 1e-4) << "its own W_out";
  }
}

TEST(OutputSample, NothingFiringIsNoError) {
  model::FfnWeights ffn = SmallFfn(false);
  ffn.b_in.fill_(-1e6);
  const OutputSample sample(ffn, at::randn({5, kHidden}), kExperts);
  EXPECT_EQ(sample.Error({AllOn(5).logical_not()}), 0);
  EXPECT_EQ(sample.NeuronOracleError(0.1), 0);
}

// With experts that cannot undo each other's output the oracle's error falls with every expert; in
// general only its bound does, the sum of what was left out.
TEST(OutputSample, MoreExpertsNeverRaiseTheOutputOraclesError) {
  for (const bool orthogonal : {true, false}) {
    const model::FfnWeights ffn = SmallFfn(false, orthogonal);
    const at::Tensor x = at::randn({60, ffn.hidden()});
    const OutputSample sample(ffn, x, kExperts);
    const at::Tensor norms = Importance(GetTarget("output-norm"), ffn, x, kExperts);
    const double total = sample.outputs().square().sum().item<double>();
    double last = 1 + 1e-9, last_bound = 1e9;
    for (int64_t k = 1; k <= kExperts; ++k) {
      const at::Tensor runs = TopKMask(norms, k);
      const double error = sample.Error({runs});
      const double bound = norms.masked_fill(runs, 0).sum(1).square().sum().item<double>() / total;
      EXPECT_LE(error, bound + 1e-6);
      EXPECT_LE(bound, last_bound);
      EXPECT_TRUE(!orthogonal || error <= last);
      last = error;
      last_bound = bound;
    }
    EXPECT_EQ(last, 0);
  }
}

TEST(OutputSample, TheOutputOracleBeatsOthersWhereExpertsAreOrthogonal) {
  const model::FfnWeights ffn = SmallFfn(true, true);
  const at::Tensor x = at::randn({60, ffn.hidden()});
  const OutputSample sample(ffn, x, kExperts);
  for (const int64_t k : {1, 3, 6}) {
    const auto error = [&](const char* target) {
      return sample.Error({TopKMask(Importance(GetTarget(target), ffn, x, kExperts), k)});
    };
    EXPECT_LE(error("output-norm"), error("mass"));
    EXPECT_LE(error("output-norm"), sample.Error({TopKMask(at::rand({60, kExperts}), k)}));
    EXPECT_LE(sample.NeuronOracleError(static_cast<double>(k) / kExperts), error("output-norm"));
  }
}

class Stands : public ::testing::Test {
 protected:
  Stands() : ffn_(SmallFfn(false)), x_(at::rand({3000, kHidden})), sample_(ffn_, x_, kExperts) {
    runs_ = TopKMask(Importance(GetTarget("output-norm"), ffn_, x_, kExperts), 2);
  }
  at::Tensor Terms(const std::string& name) const {
    ContributionSums sums(ffn_.num_neurons(), kExperts);
    const auto parts = sample_.neurons().split(700);
    const auto masks = runs_.split(700);
    for (size_t i = 0; i < parts.size(); ++i) sums.Add(parts[i], masks[i]);
    return GetCompensation(name).terms(sums, ffn_);
  }

  model::FfnWeights ffn_;
  at::Tensor x_;
  OutputSample sample_;
  at::Tensor runs_;
};

TEST_F(Stands, ConditionalMeansAreOfTheTokensThatLeaveTheExpertOut) {
  const at::Tensor terms = Terms("conditional");
  for (int64_t e = 0; e < kExperts; ++e) {
    const at::Tensor out = at::mm(sample_.neurons().narrow(1, kSize * e, kSize),
                                  ffn_.w_out.narrow(0, kSize * e, kSize));
    const at::Tensor left_out = runs_.select(1, e).logical_not().nonzero().squeeze(1);
    if (left_out.size(0) == 0) continue;
    EXPECT_TRUE(terms.select(0, e).allclose(out.index_select(0, left_out).mean(0), 1e-3, 1e-4));
    EXPECT_TRUE(Terms("mean").select(0, e).allclose(out.mean(0), 1e-3, 1e-4));
  }
  EXPECT_FALSE(Terms("none").defined());
}

TEST_F(Stands, ConditionalMeansLowerTheErrorAndChangeNothingWhenAllRun) {
  const double without = sample_.Error({runs_});
  EXPECT_LT(sample_.Error({runs_}, {Terms("conditional"), {}}), without);
  EXPECT_EQ(sample_.Error({AllOn(3000)}, {Terms("conditional"), {}}), 0);
}

// Where every token leaves the same experts out, compensation is one vector for all of them.
TEST_F(Stands, AConstantChangesTheErrorButNotWhatVaries) {
  const at::Tensor runs = at::zeros({3000, kExperts}, at::kBool);
  runs.narrow(1, 0, 3).fill_(true);
  const Substitute substitute = {at::ones({kExperts, kHidden}), {}};
  EXPECT_GT(std::abs(sample_.Error({runs}, substitute) - sample_.Error({runs})), 1e-3);
  EXPECT_NEAR(sample_.Errors({runs}, substitute).varying, sample_.Errors({runs}).varying, 1e-6);
  EXPECT_GT(sample_.Errors({runs}).varying, 1e-3);
  EXPECT_EQ(sample_.Errors({AllOn(3000)}).varying, 0);
}

TEST_F(Stands, LeastSquaresLowersTheErrorMoreTheWeakerItsPenalty) {
  OutputFit squares(ffn_, {});
  squares.Add(sample_.neurons(), {runs_});
  double last = sample_.Error({runs_});
  for (const double strength : {1e3, 1.0, 1e-3}) {
    const double error = sample_.Error({runs_}, {{}, squares.Solve(strength)});
    EXPECT_LT(error, last);
    last = error;
  }
  EXPECT_TRUE(squares.Solve(1e12).allclose(ffn_.w_out, 1e-4, 1e-5)) << "towards what was there";
}

TEST_F(Stands, LeastSquaresAddsToCompensation) {
  const at::Tensor terms = Terms("conditional");
  OutputFit squares(ffn_, terms);
  squares.Add(sample_.neurons(), {runs_});
  EXPECT_LT(sample_.Error({runs_}, {terms, squares.Solve(1e-2)}),
            sample_.Error({runs_}, {terms, {}}));
}

}  // namespace
}  // namespace moefy::route
