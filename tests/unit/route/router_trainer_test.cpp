#include "moefy/route/router_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "moefy/record/dump_writer.h"
#include "moefy/route/router_store.h"
#include "moefy/route/selection.h"
#include "moefy/route/target.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::route {
namespace {

using ::testing::HasSubstr;
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

bool SameParameters(const Router& a, const Router& b) {
  const auto left = a.Parameters(), right = b.Parameters();
  return std::ranges::equal(left, right, [](const auto& l, const auto& r) { return l.equal(r); });
}

class Training : public ::testing::Test {
 protected:
  tests::TempDir temp_;
};

TEST_F(Training, LearnsMoreThanSimilarityKnows) {
  const Learnable data(6000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  const TrainedRouter trained = TrainRouter(data.ffn, Learnable::kExperts, dump, 0, {});
  EXPECT_EQ(trained.dump_tokens, 6000);
  EXPECT_EQ(trained.train_tokens, 5400);
  EXPECT_EQ(trained.routed.tokens, 600);
  EXPECT_GT(trained.best_epoch, 0);
  EXPECT_GT(trained.routed.mass, trained.similarity.mass + 0.02);
  EXPECT_GT(trained.similarity.mass, trained.random.mass + 0.05);
  EXPECT_GE(trained.oracle.mass, trained.routed.mass);
  EXPECT_GT(trained.routed.mass, 0.9 * trained.oracle.mass);
  EXPECT_EQ(trained.oracle.recall, 1.0);
  EXPECT_GT(trained.routed.recall, 0.75);
  EXPECT_NEAR(trained.random.recall, 3.0 / 16, 0.05);  // 20 % of 16 experts is 3

  // What is returned is the router that was measured.
  Router& router = *trained.router;
  const RouterQuality all = MeasureRouter(router, data.ffn, Learnable::kExperts, data.x, 0.2);
  EXPECT_EQ(all.tokens, 6000);
  EXPECT_NEAR(all.mass, trained.routed.mass, 0.02);
}

TEST_F(Training, IsDeterminedByItsSeed) {
  const Learnable data(1500);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  TrainOptions options;
  options.epochs = 3;
  const auto train = [&] { return TrainRouter(data.ffn, 16, dump, 0, options); };
  const TrainedRouter a = train(), b = train();
  EXPECT_TRUE(SameParameters(*a.router, *b.router));
  EXPECT_TRUE(a.thresholds.equal(b.thresholds));
  EXPECT_EQ(a.routed.mass, b.routed.mass);
  options.seed = 1;
  EXPECT_FALSE(SameParameters(*train().router, *a.router));
}

TEST_F(Training, MoreEpochsNeverKeepAWorseRouter) {
  const Learnable data(800);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  TrainOptions options;
  double last = 0;
  for (const int64_t epochs : {0, 1, 5, 20}) {
    options.epochs = epochs;
    const double mass = TrainRouter(data.ffn, 16, dump, 0, options).routed.mass;
    EXPECT_GE(mass, last);
    last = mass;
  }
}

TEST_F(Training, FewTokensWork) {
  for (const int64_t tokens : {1, 2, 5, 30}) {
    const Learnable data(tokens);
    const auto dump = WriteDump(temp_.path() / std::to_string(tokens), {{"ffn.0", data.x}});
    const TrainedRouter trained = TrainRouter(data.ffn, 16, dump, 0, {});
    EXPECT_GE(trained.train_tokens, 1);
    EXPECT_GE(trained.routed.tokens, 1);
    EXPECT_TRUE(trained.router->Scores(data.x).isfinite().all().item<bool>());
  }
}

TEST_F(Training, NothingFiringGivesNoNaN) {
  Learnable data(700);
  data.ffn.b_in.fill_(-1e6);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  const TrainedRouter trained = TrainRouter(data.ffn, 16, dump, 0, {});
  EXPECT_TRUE(trained.router->Scores(data.x).isfinite().all().item<bool>());
  EXPECT_EQ(trained.routed.mass, 1.0);
  EXPECT_EQ(trained.random.recall, 1.0);
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
  tests::ExpectError(ErrorKind::kInput, {"not finite"}, [&] { train(data.x, "infinite"); });
}

TEST_F(Training, EveryKindAndTargetBeatsChanceAndNoneBeatsItsOracle) {
  const Learnable data(4000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  for (const RouterKind& kind : RouterKinds()) {
    for (const Target& target : Targets()) {
      SCOPED_TRACE(kind.name + " " + target.name);
      TrainOptions options;
      options.router = kind.name;
      options.target = target.name;
      options.epochs = 10;
      const TrainedRouter trained = TrainRouter(data.ffn, 16, dump, 0, options);
      EXPECT_EQ(trained.router->name(), kind.name);
      EXPECT_GT(trained.routed.mass, trained.random.mass + 0.05);
      EXPECT_LE(trained.routed.mass, trained.oracle.mass);
      EXPECT_LT(trained.routed.output_error, trained.random.output_error - 0.05);
      EXPECT_GT(trained.routed.output_error, trained.neuron_oracle_error);
      EXPECT_EQ(trained.final_error, trained.routed.output_error) << "nothing compensates";
      EXPECT_NEAR(trained.load.sum().item<double>(), 3, 1e-4) << "20 % of 16 experts";
      EXPECT_GT(trained.LoadEntropy(), 0.3);
      EXPECT_LE(trained.LoadEntropy(), 1 + 1e-6);
    }
  }
}

TEST_F(Training, PatienceStopsEarlyAndKeepsTheBest) {
  const Learnable data(1500);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  TrainOptions options;
  options.epochs = 60;
  const TrainedRouter all = TrainRouter(data.ffn, 16, dump, 0, options);
  options.patience = 60;
  EXPECT_TRUE(SameParameters(*TrainRouter(data.ffn, 16, dump, 0, options).router, *all.router));
  options.patience = 1;
  EXPECT_LE(TrainRouter(data.ffn, 16, dump, 0, options).best_epoch, all.best_epoch);
}

TEST_F(Training, CompensationAndCalibrationAreKeptOnlyWhereTheyHelp) {
  const Learnable data(3000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  TrainOptions options;
  options.epochs = 3;
  const double without = TrainRouter(data.ffn, 16, dump, 0, options).final_error;
  options.compensation = "conditional";
  const TrainedRouter compensated = TrainRouter(data.ffn, 16, dump, 0, options);
  EXPECT_TRUE(compensated.stand.compensation.defined());
  EXPECT_LT(compensated.final_error, without);
  options.least_squares = true;
  const TrainedRouter calibrated = TrainRouter(data.ffn, 16, dump, 0, options);
  EXPECT_TRUE(calibrated.stand.w_out.defined());
  EXPECT_LT(calibrated.final_error, compensated.final_error);
  options.metric_ratio = 1;
  options.fit_ratios = {1.0};  // nothing is left out: nothing to make up for
  const TrainedRouter whole = TrainRouter(data.ffn, 16, dump, 0, options);
  EXPECT_FALSE(whole.stand.compensation.defined());
  EXPECT_FALSE(whole.stand.w_out.defined());
}

TEST_F(Training, ACorrectionIsKeptOnlyWhereMoreExpertsForItsWorkWouldNotBeBetter) {
  // What is left out is a linear map of the input: inputs far on one side of every ReLU.
  Learnable data(3000);
  data.ffn.b_in.fill_(50);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  TrainOptions options;
  options.epochs = 3;
  options.compensation = "conditional";
  const TrainedRouter constant = TrainRouter(data.ffn, 16, dump, 0, options);
  options.compensation = "low-rank";
  const TrainedRouter linear = TrainRouter(data.ffn, 16, dump, 0, options);
  ASSERT_TRUE(linear.stand.correction.defined());
  EXPECT_EQ(linear.stand.correction.down.sizes(), at::IntArrayRef({4, 24}));
  EXPECT_LT(linear.final_error, constant.final_error);
  options.metric_ratio = 1;
  options.fit_ratios = {1.0};
  EXPECT_FALSE(TrainRouter(data.ffn, 16, dump, 0, options).stand.correction.defined());
}

TEST_F(Training, FitForSeveralRatiosServesThemAll) {
  const Learnable data(3000);
  const auto dump = WriteDump(temp_.path() / "dump", {{"ffn.0", data.x}});
  TrainOptions options;
  options.epochs = 3;
  const TrainedRouter without = TrainRouter(data.ffn, 16, dump, 0, options);
  options.compensation = "conditional";
  options.least_squares = true;
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
    TrainOptions options;
    options.router = kind;
    options.epochs = 12;
    const TrainedRouter whole = TrainRouter(data.ffn, 16, dump, 0, options);
    options.max_tokens = 1500;
    const TrainedRouter parts = TrainRouter(data.ffn, 16, dump, 0, options);
    EXPECT_EQ(parts.train_tokens, whole.train_tokens);
    EXPECT_EQ(parts.routed.tokens, 150);
    EXPECT_GT(parts.routed.mass, parts.random.mass + 0.2);
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
    TrainOptions options;
    options.router = kind.name;
    options.epochs = 5;
    options.metric_ratio = 0.375;  // 6 of 16
    options.compensation = "mean";
    const TrainedRouter trained = TrainRouter(data.ffn, 16, dump, 0, options, 4);
    EXPECT_TRUE(trained.load.narrow(0, 0, 4).eq(1).all().item<bool>());
    EXPECT_NEAR(trained.load.sum().item<double>(), 6, 1e-4);
    EXPECT_GT(trained.LoadEntropy(), 0.3);
    EXPECT_LE(trained.LoadEntropy(), 1 + 1e-9);
    // Up to 25 % only the shared ones run.
    EXPECT_EQ(kCurveRatios[3], 0.2);
    for (int64_t i = 1; i < 4; ++i) EXPECT_TRUE(trained.errors[i].equal(trained.errors[0]));
    EXPECT_LT(trained.errors[5].item<float>(), trained.errors[3].item<float>());
    EXPECT_GE(trained.oracle.mass, trained.routed.mass);
    const at::Tensor routed = trained.router->Scores(data.x).narrow(1, 4, 12) >=
                              ThresholdFor(trained.thresholds, 0.5, 0.25);
    EXPECT_NEAR(routed.to(at::kDouble).mean().item<double>(), 1.0 / 3, 0.05);
  }
  TrainOptions few;
  few.metric_ratio = 0.1;  // less than the shared experts are
  const TrainedRouter trained = TrainRouter(data.ffn, 16, dump, 0, few, 4);
  EXPECT_EQ(trained.DeadExperts(), 12);
  EXPECT_EQ(trained.LoadEntropy(), 1);
}

class Store : public ::testing::Test {
 protected:
  Store() : dense_(temp_.Make("dense")), moe_(temp_.path() / "moe") {
    tests::CopyModel(tests::Pico("t5-relu-tied"), dense_);
    tests::WriteBytes(dense_ / "spiece.model", "tokenizer");
    tests::SplitInto(dense_, moe_, 8);
  }
  record::ActivationDump Dump(const split::MoeCheckpoint& moe, const std::string& name,
                              const std::string& fingerprint) {
    std::vector<std::pair<std::string, at::Tensor>> ffns;
    at::manual_seed(2);
    for (const split::MoeFfn& ffn : moe.ffns()) {
      ffns.emplace_back(ffn.spec.name, at::randn({40, ffn.spec.hidden}));
    }
    return WriteDump(temp_.path() / name, ffns, fingerprint);
  }
  std::vector<TrainedRouter> Train(const split::MoeCheckpoint& moe,
                                   const record::ActivationDump& dump, TrainOptions options = {}) {
    options.epochs = 2;
    std::vector<TrainedRouter> routers;
    for (const split::MoeFfn& ffn : moe.ffns()) {
      routers.push_back(TrainRouter(model::ReadFfnWeights(moe.weights(), ffn.spec),
                                    ffn.plan.num_experts(), dump, dump.GetFfn(ffn.spec.name),
                                    options));
    }
    return routers;
  }

  tests::TempDir temp_;
  std::filesystem::path dense_, moe_;
};

TEST_F(Store, RoutersComeBackAsTrained) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  const auto dump = Dump(moe, "dump", moe.source_fingerprint());
  CheckDumpMatches(moe, dump);
  const auto routers = Train(moe, dump);
  EXPECT_FALSE(HasRouters(moe));
  tests::ExpectError(ErrorKind::kUsage, {"`moefy route-train`"}, [&] { ReadMlpRouter(moe, 0); });

  WriteRouters(moe, routers, {}, "random", temp_.Make("routed"));
  const auto routed = split::MoeCheckpoint::Open(temp_.path() / "routed");
  EXPECT_TRUE(HasRouters(routed));
  for (size_t i = 0; i < routers.size(); ++i) {
    const auto router = ReadMlpRouter(routed, i);
    EXPECT_TRUE(SameParameters(*router, *routers[i].router));
    EXPECT_TRUE(ReadThresholds(routed, i).equal(routers[i].thresholds));
    EXPECT_TRUE(ReadNeuronThresholds(routed, i).equal(routers[i].neuron_thresholds));
    EXPECT_FALSE(ReadCompensation(routed, i).defined());
    EXPECT_EQ(routed.ffns()[i].plan.order(), moe.ffns()[i].plan.order());
    EXPECT_EQ(routed.manifest()["router"]["ffns"][i]["routed"]["mass"], routers[i].routed.mass);
  }
  EXPECT_EQ(routed.manifest()["router"]["kind"], "mlp");
  EXPECT_EQ(routed.manifest()["router"]["target"], "mass");
  EXPECT_EQ(routed.manifest()["router"]["options"]["corpus"], "random");
  EXPECT_FALSE(IsCalibrated(routed));
  EXPECT_EQ(tests::FileBytes(temp_.path() / "routed" / "spiece.model"), "tokenizer");
  EXPECT_TRUE(split::VerifyMoe(io::Checkpoint::Open(dense_), routed).ok);
  EXPECT_EQ(std::filesystem::hard_link_count(temp_.path() / "routed" / "model.safetensors"), 2u);

  // Training again replaces the routers, and gives the same bytes.
  WriteRouters(routed, routers, {}, "random", temp_.Make("again"));
  EXPECT_EQ(tests::DirectoryBytes(temp_.path() / "again"),
            tests::DirectoryBytes(temp_.path() / "routed"));
  split::MergeMoe(routed, temp_.Make("merged"));
  EXPECT_EQ(tests::DirectoryBytes(temp_.path() / "merged"), tests::DirectoryBytes(dense_));
}

TEST_F(Store, EveryKindComesBack) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  const auto dump = Dump(moe, "dump", moe.source_fingerprint());
  for (const RouterKind& kind : RouterKinds()) {
    TrainOptions options;
    options.router = kind.name;
    options.target = "output-norm";
    const auto routers = Train(moe, dump, options);
    WriteRouters(moe, routers, options, "random", temp_.Make(kind.name));
    const auto routed = split::MoeCheckpoint::Open(temp_.path() / kind.name);
    EXPECT_EQ(StoredRouterKind(routed), kind.name);
    EXPECT_EQ(routed.manifest()["router"]["target"], "output-norm");
    const auto router = ReadRouter(routed, 0);
    const at::Tensor x = at::randn({5, moe.ffns()[0].spec.hidden});
    EXPECT_TRUE(router->Scores(x).allclose(routers[0].router->Scores(x), 1e-5, 1e-6));
    EXPECT_EQ(ReadBudget(routed, 1.0), std::vector<int64_t>(moe.ffns().size(), 8));
    for (const char* needs : {"mlp:threshold", "mlp:budget", "mlp/0.5"}) {
      EXPECT_TRUE(HasPolicy(routed, ParseSelection(needs))) << needs;
      EXPECT_FALSE(HasPolicy(moe, ParseSelection(needs))) << needs;
    }
    if (kind.name != "mlp") {
      tests::ExpectError(ErrorKind::kUsage, {kind.name, "--router mlp"},
                         [&] { ReadMlpRouter(routed, 0); });
    }
  }
  EXPECT_TRUE(HasPolicy(moe, ParseSelection("mlp")));
}

TEST_F(Store, CalibratedWeightsAreStoredAndVerifySaysWhy) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  const auto dump = Dump(moe, "dump", moe.source_fingerprint());
  TrainOptions options;
  options.fit_ratios = {0.5};
  auto routers = Train(moe, dump, options);
  const model::FfnSpec& spec = moe.ffns()[0].spec;
  const model::FfnWeights before = model::ReadFfnWeights(moe.weights(), spec);
  routers[0].stand.w_out = before.w_out + 1;
  routers[0].stand.compensation = at::randn({8, spec.hidden});
  routers[0].stand.correction = {at::randn({3, spec.hidden}), at::randn({spec.hidden, 3}),
                                 at::randn({spec.hidden})};
  WriteRouters(moe, routers, options, "random", temp_.Make("routed"));

  const auto routed = split::MoeCheckpoint::Open(temp_.path() / "routed");
  EXPECT_TRUE(IsCalibrated(routed));
  const Json& calibration = routed.manifest()["calibration"][0];
  EXPECT_EQ(calibration["kind"], "least-squares");
  EXPECT_EQ(calibration["ffn_ratios"][0], 0.5);
  EXPECT_EQ(calibration["tensors"], Json::array({spec.w_out}));
  const model::FfnWeights after = model::ReadFfnWeights(routed.weights(), spec);
  EXPECT_TRUE(after.w_out.equal(before.w_out + 1));
  EXPECT_TRUE(after.w_in.equal(before.w_in));
  EXPECT_TRUE(ReadCompensation(routed, 0).equal(routers[0].stand.compensation));
  const Correction correction = ReadCorrection(routed, 0);
  EXPECT_TRUE(correction.down.equal(routers[0].stand.correction.down));
  EXPECT_TRUE(correction.up.equal(routers[0].stand.correction.up));
  EXPECT_TRUE(correction.bias.equal(routers[0].stand.correction.bias));
  EXPECT_FALSE(ReadCorrection(routed, 1).defined());

  const split::VerifyReport report = split::VerifyMoe(io::Checkpoint::Open(dense_), routed);
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_THAT(report.problems[0], HasSubstr("'" + spec.w_out + "' differs"));
  EXPECT_THAT(report.problems[0], HasSubstr("calibrated by least-squares at ffn ratio 0.5"));
}

TEST_F(Store, AMissingRouterTensorIsNamed) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  const std::string manifest = tests::FileBytes(moe_ / "moefy.json");
  tests::WriteBytes(moe_ / "moefy.json",
                    ReplaceAll(manifest, "\"router\": null", "\"router\": {}"));
  const auto lying = split::MoeCheckpoint::Open(moe_);
  tests::ExpectError(ErrorKind::kInput, {"expected a tensor 'encoder.ffn.0.router.w1', F32 [8, "},
                     [&] { ReadMlpRouter(lying, 0); });
}

TEST_F(Store, ADumpOfAnotherModelIsRefusedWithEveryDifference) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  EXPECT_NO_THROW(CheckDumpMatches(moe, Dump(moe, "unknown", "")));
  tests::ExpectError(
      ErrorKind::kInput,
      {"it was recorded from 0123; the dense checkpoint is " + moe.source_fingerprint()},
      [&] { CheckDumpMatches(moe, Dump(moe, "other", "0123")); });
  const auto dump = WriteDump(temp_.path() / "shapes",
                              {{"encoder.ffn.0", at::zeros({1, 3})}, {"ffn.7", at::zeros({1, 4})}},
                              moe.source_fingerprint());
  tests::ExpectError(ErrorKind::kInput, {"its 'encoder.ffn.0' is 3 wide; expected "},
                     [&] { CheckDumpMatches(moe, dump); });
  tests::ExpectError(ErrorKind::kInput, {"it holds nothing of 'decoder.ffn.0'"},
                     [&] { CheckDumpMatches(moe, dump); });
  tests::ExpectError(ErrorKind::kInput, {"it holds 'ffn.7', which the model lacks"},
                     [&] { CheckDumpMatches(moe, dump); });
}

}  // namespace
}  // namespace moefy::route
