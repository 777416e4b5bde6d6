#include "route/router_trainer.h"

#include <gtest/gtest.h>

#include <numeric>

#include "record/dump_writer.h"
#include "route/budget.h"
#include "route/target.h"
#include "route/threshold.h"
#include "route/top_k.h"
#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"
#include "unit/route/same_parameters.h"

namespace moefy::route {
namespace {

using tests::SameParameters;
using tests::WriteDump;

// Experts whose neurons share a direction, and inputs near a few of the directions: what a router
// can learn, and similarity alone cannot, because expert e's neurons are scaled by their bias.
struct Learnable {
  static constexpr int64_t kExperts = 16, kSize = 8, kHidden = 24;
  model::FfnWeights ffn;
  at::Tensor x;

  explicit Learnable(int64_t tokens) {
    at::manual_seed(11);
    const at::Tensor directions = at::randn({kExperts, 1, kHidden});
    const at::Tensor noise = at::randn({kExperts, kSize, kHidden});
    ffn.w_in = (directions + 0.6 * noise).view({kExperts * kSize, kHidden});
    ffn.b_in = (at::randn({kExperts, 1}) * 4).expand({kExperts, kSize}).reshape({-1});
    ffn.w_out = at::randn({kExperts * kSize, kHidden});
    const at::Tensor near = at::randint(kExperts, {tokens}, at::kLong);
    x = directions.view({kExperts, kHidden}).index_select(0, near) +
        0.7 * at::randn({tokens, kHidden});
  }
};

double SumOf(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

class Training : public ::testing::Test {
 protected:
  tests::TempDir temp_;
};

TEST_F(Training, LearnsMoreThanSimilarityKnows) {
  const Learnable data(6000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  const TrainedRouter trained = TrainRouter(data.ffn, Learnable::kExperts, dump, 0, {});
  EXPECT_EQ(trained.report.dump_tokens, 6000);
  EXPECT_EQ(trained.report.train_tokens, 5400);
  EXPECT_EQ(trained.report.held_out_tokens, 600);
  EXPECT_GT(trained.report.best_epoch, 0);
  EXPECT_GT(trained.report.routed.mass, trained.report.similarity.mass + 0.02);
  EXPECT_GT(trained.report.similarity.mass, trained.report.random.mass + 0.05);
  EXPECT_GE(trained.report.oracle.mass, trained.report.routed.mass);
  EXPECT_GT(trained.report.routed.mass, 0.9 * trained.report.oracle.mass);
  EXPECT_EQ(trained.report.oracle.recall, 1.0);
  EXPECT_GT(trained.report.routed.recall, 0.75);
  EXPECT_NEAR(trained.report.random.recall, 3.0 / 16, 0.05);  // 20 % of 16 experts is 3

  // What is returned is the router that was measured.
  const at::Tensor mass = Importance(GetTarget("mass"), data.ffn, data.x, Learnable::kExperts);
  const at::Tensor caught = mass.gather(1, SelectTopK(trained.router->Scores(data.x), 3));
  EXPECT_NEAR((caught.sum() / mass.sum()).item<double>(), trained.report.routed.mass, 0.02);
}

TEST_F(Training, IsDeterminedByItsSeed) {
  const Learnable data(1500);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  RouterTrainOptions options;
  options.epochs = 3;
  const auto train = [&] { return TrainRouter(data.ffn, 16, dump, 0, options); };
  const TrainedRouter a = train(), b = train();
  EXPECT_TRUE(SameParameters(*a.router, *b.router));
  EXPECT_TRUE(a.thresholds.equal(b.thresholds));
  EXPECT_EQ(a.report.routed.mass, b.report.routed.mass);
  options.seed = 1;
  EXPECT_FALSE(SameParameters(*train().router, *a.router));
}

TEST_F(Training, MoreEpochsNeverKeepAWorseRouter) {
  const Learnable data(800);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  RouterTrainOptions options;
  double last = 0;
  for (const int64_t epochs : {0, 1, 5, 20}) {
    options.epochs = epochs;
    const double mass = TrainRouter(data.ffn, 16, dump, 0, options).report.routed.mass;
    EXPECT_GE(mass, last);
    last = mass;
  }
}

TEST_F(Training, FewTokensWork) {
  for (const int64_t tokens : {1, 2, 5, 30}) {
    const Learnable data(tokens);
    const auto dump = WriteDump(temp_.path() / std::to_string(tokens), {{"ffn.0", data.x}});
    const TrainedRouter trained = TrainRouter(data.ffn, 16, dump, 0, {});
    EXPECT_GE(trained.report.train_tokens, 1);
    EXPECT_GE(trained.report.held_out_tokens, 1);
    EXPECT_TRUE(trained.router->Scores(data.x).isfinite().all().item<bool>());
  }
}

TEST_F(Training, NothingFiringGivesNoNaN) {
  Learnable data(700);
  data.ffn.b_in.fill_(-1e6);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  const TrainedRouter trained = TrainRouter(data.ffn, 16, dump, 0, {});
  EXPECT_TRUE(trained.router->Scores(data.x).isfinite().all().item<bool>());
  EXPECT_EQ(trained.report.routed.mass, 1.0);
  EXPECT_EQ(trained.report.random.recall, 1.0);
}

TEST_F(Training, RefusesDumpsItCannotLearnFrom) {
  Learnable data(10);
  const auto train = [&](const at::Tensor& x, const std::string& name) {
    const auto dump = WriteDump(temp_.path() / name, {{"ffn.0", x}});
    TrainRouter(data.ffn, 16, dump, 0, {});
  };
  tests::ExpectError(ErrorKind::kInput, {"holds no token of 'ffn.0'"},
                     [&] { train(data.x.narrow(0, 0, 0), "empty"); });
  tests::ExpectError(ErrorKind::kInput, {"'ffn.0' is 7 wide; the FFN's inputs are 24"},
                     [&] { train(data.x.narrow(1, 0, 7).contiguous(), "narrow"); });
  data.x[3][2] = std::numeric_limits<float>::infinity();
  tests::ExpectError(ErrorKind::kInput, {"inf for token 3"}, [&] { train(data.x, "infinite"); });
}

TEST_F(Training, EveryKindAndTargetBeatsChanceAndNoneBeatsItsOracle) {
  const Learnable data(4000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  for (const RouterKind& kind : RouterKinds()) {
    for (const Target& target : Targets()) {
      SCOPED_TRACE(kind.name + " " + target.name);
      RouterTrainOptions options;
      options.router = kind.name;
      options.target = target.name;
      options.epochs = 10;
      const TrainedRouter trained = TrainRouter(data.ffn, 16, dump, 0, options);
      EXPECT_EQ(trained.router->name(), kind.name);
      EXPECT_GT(trained.report.routed.mass, trained.report.random.mass + 0.05);
      EXPECT_LE(trained.report.routed.mass, trained.report.oracle.mass);
      EXPECT_LT(trained.report.routed.output_error, trained.report.random.output_error - 0.05);
      EXPECT_GT(trained.report.routed.output_error, trained.report.neuron_oracle_error);
      EXPECT_EQ(trained.report.final_error, trained.report.routed.output_error)
          << "nothing compensates";
      EXPECT_NEAR(SumOf(trained.report.load), 3, 1e-4) << "20 % of 16 experts";
      EXPECT_GT(trained.report.load_entropy, 0.3);
      EXPECT_LE(trained.report.load_entropy, 1 + 1e-6);
    }
  }
}

TEST_F(Training, PatienceStopsEarlyAndKeepsTheBest) {
  const Learnable data(1500);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  RouterTrainOptions options;
  options.epochs = 60;
  const TrainedRouter all = TrainRouter(data.ffn, 16, dump, 0, options);
  options.patience = 60;
  EXPECT_TRUE(SameParameters(*TrainRouter(data.ffn, 16, dump, 0, options).router, *all.router));
  options.patience = 1;
  EXPECT_LE(TrainRouter(data.ffn, 16, dump, 0, options).report.best_epoch, all.report.best_epoch);
}

TEST_F(Training, CompensationAndOutputFitAreKeptOnlyWhereTheyHelp) {
  const Learnable data(3000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  RouterTrainOptions options;
  options.epochs = 3;
  const double without = TrainRouter(data.ffn, 16, dump, 0, options).report.final_error;
  options.compensation = "conditional";
  const TrainedRouter compensated = TrainRouter(data.ffn, 16, dump, 0, options);
  EXPECT_TRUE(compensated.substitute.compensation.defined());
  EXPECT_LT(compensated.report.final_error, without);
  options.output_fit = true;
  const TrainedRouter fitted = TrainRouter(data.ffn, 16, dump, 0, options);
  EXPECT_TRUE(fitted.substitute.w_out.defined());
  EXPECT_LT(fitted.report.final_error, compensated.report.final_error);
  options.metric_ratio = 1;
  options.fit_ratios = {1.0};  // nothing is left out: nothing to make up for
  const TrainedRouter whole = TrainRouter(data.ffn, 16, dump, 0, options);
  EXPECT_FALSE(whole.substitute.compensation.defined());
  EXPECT_FALSE(whole.substitute.w_out.defined());
}

TEST_F(Training, ACorrectionIsKeptOnlyWhereMoreExpertsForItsWorkWouldNotBeBetter) {
  // What is left out is a linear map of the input: inputs far on one side of every ReLU.
  Learnable data(3000);
  data.ffn.b_in.fill_(50);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  RouterTrainOptions options;
  options.epochs = 3;
  options.compensation = "conditional";
  const TrainedRouter constant = TrainRouter(data.ffn, 16, dump, 0, options);
  options.compensation = "low-rank";
  const TrainedRouter linear = TrainRouter(data.ffn, 16, dump, 0, options);
  ASSERT_TRUE(linear.substitute.correction.defined());
  EXPECT_EQ(linear.substitute.correction.down.sizes(), at::IntArrayRef({4, 24}));
  EXPECT_LT(linear.report.final_error, constant.report.final_error);
  options.metric_ratio = 1;
  options.fit_ratios = {1.0};
  EXPECT_FALSE(TrainRouter(data.ffn, 16, dump, 0, options).substitute.correction.defined());
}

TEST_F(Training, FitForSeveralRatiosServesThemAll) {
  const Learnable data(3000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  RouterTrainOptions options;
  options.epochs = 3;
  const TrainedRouter without = TrainRouter(data.ffn, 16, dump, 0, options);
  options.compensation = "conditional";
  options.output_fit = true;
  options.fit_ratios = {0.1, 0.5, 1.0};
  const TrainedRouter with = TrainRouter(data.ffn, 16, dump, 0, options);
  options.fit_ratios = {0.1};
  const TrainedRouter narrow = TrainRouter(data.ffn, 16, dump, 0, options);
  const auto last = static_cast<int64_t>(kCurveRatios.size()) - 1;  // of the largest ratio
  EXPECT_LT(with.errors[0].item<float>(), without.errors[0].item<float>());
  EXPECT_LT(with.errors[last].item<float>(), narrow.errors[last].item<float>());
}

TEST_F(Training, ADumpLargerThanMemoryIsLearnedFromInParts) {
  const Learnable data(6000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  for (const char* kind : {"ridge", "mlp"}) {
    SCOPED_TRACE(kind);
    RouterTrainOptions options;
    options.router = kind;
    options.epochs = 12;
    const TrainedRouter whole = TrainRouter(data.ffn, 16, dump, 0, options);
    options.max_tokens = 1500;
    const TrainedRouter parts = TrainRouter(data.ffn, 16, dump, 0, options);
    EXPECT_EQ(parts.report.train_tokens, whole.report.train_tokens);
    EXPECT_EQ(parts.report.held_out_tokens, 150);
    EXPECT_GT(parts.report.routed.mass, parts.report.random.mass + 0.2);
    if (options.router == "ridge") {  // sums do not care in which order their parts come
      const at::Tensor x = data.x.narrow(0, 0, 50);
      const at::Tensor a = whole.router->Scores(x), b = parts.router->Scores(x);
      // Scaled by the largest target, which is looked for in the first part only.
      const at::Tensor shift = a - a.mean(), shift_b = b - b.mean();
      const double cosine =
          ((shift * shift_b).sum() / (shift.norm() * shift_b.norm())).item<double>();
      EXPECT_GT(cosine, 0.999);
    }
  }
}

TEST_F(Training, SharedExpertsAreTheHeldOutTokensFirst) {
  const Learnable data(2000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  for (const RouterKind& kind : RouterKinds()) {
    SCOPED_TRACE(kind.name);
    RouterTrainOptions options;
    options.router = kind.name;
    options.epochs = 5;
    options.metric_ratio = 0.375;  // 6 of 16
    options.compensation = "mean";
    const TrainedRouter trained = TrainRouter(data.ffn, 16, dump, 0, options, 4);
    for (size_t shared = 0; shared < 4; ++shared) EXPECT_EQ(trained.report.load[shared], 1);
    EXPECT_NEAR(SumOf(trained.report.load), 6, 1e-4);
    EXPECT_GT(trained.report.load_entropy, 0.3);
    EXPECT_LE(trained.report.load_entropy, 1 + 1e-9);
    // Up to 25 % only the shared ones run.
    EXPECT_EQ(kCurveRatios[3], 0.2);
    for (int64_t i = 1; i < 4; ++i) EXPECT_TRUE(trained.errors[i].equal(trained.errors[0]));
    EXPECT_LT(trained.errors[5].item<float>(), trained.errors[3].item<float>());
    EXPECT_GE(trained.report.oracle.mass, trained.report.routed.mass);
    const at::Tensor routed = trained.router->Scores(data.x).narrow(1, 4, 12) >=
                              ThresholdFor(trained.thresholds, 0.5, 0.25);
    EXPECT_NEAR(routed.to(at::kDouble).mean().item<double>(), 1.0 / 3, 0.05);
  }
  RouterTrainOptions few;
  few.metric_ratio = 0.1;  // less than the shared experts are
  const TrainedRouter trained = TrainRouter(data.ffn, 16, dump, 0, few, 4);
  EXPECT_EQ(trained.report.dead_experts, 12);
  EXPECT_EQ(trained.report.load_entropy, 1);
}

}  // namespace
}  // namespace moefy::route
