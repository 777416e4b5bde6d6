// The stage route-train on a small split checkpoint and a dump of random inputs.
#include "moefy/pipeline/route_stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/options.h"
#include "base/output.h"
#include "route/router_reader.h"
#include "route/router_report_json.h"
#include "split/calibration.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"

namespace moefy::pipeline {
namespace {

class RouteStage : public ::testing::Test {
 protected:
  static constexpr int64_t kExperts = 8;

  RouteStage() { Use("t5-relu-tied"); }

  // Splits a pico model into a directory of its own and records random inputs beside it.
  void Use(const std::string& model, int64_t experts = kExperts,
           const std::string& method = "random", int64_t shared = 0) {
    const std::string name = StrCat(model, "-", method, "-", experts);
    const auto directory = dir_ / name;
    StagedDirectory staged(directory, IfExists::kRefuse);  // as moefy's own, which may be renewed
    tests::SplitInto(tests::Pico(model), staged.path(), experts, method, 1, shared);
    staged.Commit();
    const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(directory);
    at::manual_seed(4);
    std::vector<std::pair<std::string, at::Tensor>> inputs;
    for (const split::MoeFfn& ffn : moe.ffns()) {
      inputs.emplace_back(ffn.spec.name, at::randn({100, ffn.spec.hidden}));
    }
    tests::WriteDump(dir_ / (name + "-dump"), inputs, moe.source_fingerprint());
    options_ = {};
    options_.moe = directory.string();
    options_.dump = (dir_ / (name + "-dump")).string();
    options_.out = (dir_ / (name + "-routed")).string();
    options_.preset = "fast";
  }

  RouteTrainResult Train(IfExists if_exists = IfExists::kRefuse) const {
    return RouteTrain(options_, if_exists, SilentProgress());
  }
  Json StoredOptions() const {
    return split::MoeCheckpoint::Open(options_.out).manifest()["router"]["options"];
  }

  tests::TempDir dir_;
  RouteTrainOptions options_;
};

TEST_F(RouteStage, WritesRoutersAndReportsOnEachFfn) {
  const RouteTrainResult result = Train();
  EXPECT_EQ(result.moe, options_.out);
  EXPECT_EQ(result.router, "ridge");
  EXPECT_EQ(result.target, "output-norm");
  EXPECT_EQ(result.compensation, "none");
  const split::MoeCheckpoint routed = split::MoeCheckpoint::Open(options_.out);
  EXPECT_EQ(route::StoredRouterKind(routed), "ridge");
  EXPECT_FALSE(split::IsCalibrated(routed));
  ASSERT_EQ(result.reports.size(), routed.ffns().size());
  for (size_t i = 0; i < result.reports.size(); ++i) {
    const route::RouterReport& report = result.reports[i];
    EXPECT_EQ(report.ffn, routed.ffns()[i].spec.name);
    EXPECT_EQ(report.train_tokens, 90);
    EXPECT_EQ(report.held_out_tokens, 10);
    EXPECT_EQ(report.load.size(), 8u);
    EXPECT_LE(report.routed.mass, report.oracle.mass);
    EXPECT_EQ(report.final_error, report.routed.output_error) << "nothing stands in";
    // moefy.json tells the same.
    const Json& stored = routed.manifest()["router"]["ffns"][i];
    EXPECT_EQ(stored["name"], report.ffn);
    EXPECT_EQ(stored["final_output_error"], report.final_error);
    EXPECT_EQ(stored["routed"], route::ReportToJson(report)["routed"]);
    EXPECT_FALSE(stored.contains("seconds")) << "the same options would give other bytes";
  }
}

TEST_F(RouteStage, GivesTheSameBytesAgainAndReplacesItsOwnOutput) {
  Train();
  const auto first = tests::DirectoryBytes(options_.out);
  tests::ExpectError(ErrorKind::kUsage, {options_.out, "--force"}, [&] { Train(); });
  Train(IfExists::kReplace);
  EXPECT_EQ(tests::DirectoryBytes(options_.out), first);
}

TEST_F(RouteStage, WithoutOutTheSplitCheckpointGetsTheRouters) {
  options_.out.clear();
  EXPECT_EQ(Train().moe, options_.moe);
  EXPECT_TRUE(route::HasRouters(split::MoeCheckpoint::Open(options_.moe)));
}

TEST_F(RouteStage, WhatIsNotGivenIsThePresets) {
  options_.preset = "best";
  EXPECT_EQ(Train().router, "ridge");
  options_.preset = "mlp-fit";
  options_.epochs = 2;
  EXPECT_EQ(Train(IfExists::kReplace).compensation, "conditional");
  Json stored = StoredOptions();
  EXPECT_EQ(stored["epochs"], 2);
  EXPECT_EQ(stored["patience"], 5);
  EXPECT_EQ(stored["output_fit"], true);
  EXPECT_EQ(stored["fit_ratios"], Json({0.1, 0.2, 0.3, 0.5, 1.0}));

  options_.patience = 0;
  options_.output_fit = false;
  options_.compensation = "none";
  options_.router = "linear";
  options_.fit_ratios = {0.5};
  const RouteTrainResult result = Train(IfExists::kReplace);
  EXPECT_EQ(result.router, "linear");
  for (const route::RouterReport& report : result.reports) {
    EXPECT_FALSE(report.output_fit || report.compensated || report.corrected);
  }
  stored = StoredOptions();
  EXPECT_EQ(stored["patience"], 0);
  EXPECT_EQ(stored["output_fit"], false);
  EXPECT_EQ(stored["fit_ratios"], Json({0.5}));
  EXPECT_FALSE(split::IsCalibrated(split::MoeCheckpoint::Open(options_.out)));
}

TEST_F(RouteStage, WithoutFitRatiosTheMetricRatioIsFitted) {
  options_.metric_ratio = 0.3;
  options_.compensation = "mean";
  Train();
  EXPECT_EQ(StoredOptions()["fit_ratios"], Json({0.3}));
}

TEST_F(RouteStage, OnlyGatedFfnsTryThePresetsNeuronShares) {
  options_.preset = "best";
  for (const route::RouterReport& report : Train().reports) EXPECT_EQ(report.neuron_share, 1);
  options_.neuron_shares = {0.5};
  for (const route::RouterReport& report : Train(IfExists::kReplace).reports) {
    EXPECT_EQ(report.neuron_share, 0.5);
  }
  Use("llama-llama3-rope-scaling");
  options_.preset = "best";
  for (const route::RouterReport& report : Train().reports) {
    EXPECT_TRUE(report.neuron_share == 1 || report.neuron_share == 0.7 ||
                report.neuron_share == 0.5);
  }
}

TEST_F(RouteStage, PresetsOfMethodsWantTheExpertsOfTheirOtherHalf) {
  for (const char* preset : {"cmoe", "d2dmoe", "expertweaver"}) {
    options_.preset = preset;
    tests::ExpectError(ErrorKind::kUsage,
                       {StrCat("--preset ", preset), "was split by random",
                        StrCat("moefy split --preset ", preset)},
                       [&] { Train(); });
  }
  options_.preset = "cats";
  tests::ExpectError(ErrorKind::kUsage, {"has experts of", "moefy split --preset cats"},
                     [&] { Train(); });
  EXPECT_FALSE(std::filesystem::exists(options_.out));
}

TEST_F(RouteStage, PresetsOfMethodsMakeTheirRouters) {
  const auto routed = [&](const char* method, const char* preset, int64_t shared) {
    Use("llama-llama3-rope-scaling", kExperts, method, shared);
    options_.preset = preset;
    options_.epochs = 1;
    return Train().router;
  };
  EXPECT_EQ(routed("activation-marks", "cmoe", 3), "exemplar");
  EXPECT_EQ(routed("kmeans", "d2dmoe", 0), "regression");
  EXPECT_EQ(routed("gate-profile", "expertweaver", 2), "gate-rows");
}

TEST_F(RouteStage, SingleNeuronsAreChosenByAFirstProduct) {
  const split::MoeCheckpoint pico =
      split::MoeCheckpoint::Open(options_.moe);  // of the default, ReLU without a gate
  const int64_t neurons = pico.ffns()[0].spec.num_neurons;
  Use("t5-relu-tied", neurons);
  options_.preset = "best";
  EXPECT_EQ(Train().router, "first-product");
  options_.router = "ridge";
  EXPECT_EQ(Train(IfExists::kReplace).router, "ridge") << "what is given wins";
  options_.router.reset();
  options_.preset = "cats";
  tests::ExpectError(ErrorKind::kUsage, {"chooses neurons by their gate", "has none"},
                     [&] { Train(IfExists::kReplace); });
}

TEST_F(RouteStage, AnOutputFitNeedsTheOriginalWOut) {
  options_.output_fit = true;
  options_.fit_ratios = {0.25};
  Train();
  const split::MoeCheckpoint fitted = split::MoeCheckpoint::Open(options_.out);
  ASSERT_TRUE(split::IsCalibrated(fitted)) << "random inputs leave much to fit";
  EXPECT_EQ(fitted.manifest()["calibration"][0]["kind"], "output-fit");
  options_.moe = options_.out;
  options_.out = (dir_ / "again").string();
  tests::ExpectError(ErrorKind::kUsage, {"is calibrated already", "moefy split"}, [&] { Train(); });
  options_.output_fit = false;
  Train();
}

TEST_F(RouteStage, RefusesOptionsThatMakeNoSense) {
  const RouteTrainOptions good = options_;
  CheckRouteOptions(good);
  const auto refuse = [&](std::initializer_list<std::string_view> fragments, const auto& change) {
    RouteTrainOptions bad = good;
    change(bad);
    tests::ExpectError(ErrorKind::kUsage, fragments, [&] { CheckRouteOptions(bad); });
  };
  using Options = RouteTrainOptions;
  refuse({"--preset is 'bets'", "did you mean 'best'"}, [](Options& o) { o.preset = "bets"; });
  refuse({"unknown router 'mpl'"}, [](Options& o) { o.router = "mpl"; });
  refuse({"--compensation conditional", "--preset first-product"}, [](Options& o) {
    o.router = "first-product";
    o.compensation = "conditional";
  });
  refuse({"--neuron-share"}, [](Options& o) {
    o.preset = "first-product";
    o.neuron_shares = {0.5};
  });
  refuse({"unknown target 'mas'"}, [](Options& o) { o.target = "mas"; });
  refuse({"unknown compensation 'men'"}, [](Options& o) { o.compensation = "men"; });
  refuse({"--epochs is 0; expected at least 1"}, [](Options& o) { o.epochs = 0; });
  refuse({"--patience is -1; expected at least 0"}, [](Options& o) { o.patience = -1; });
  refuse({"--batch-size is 0"}, [](Options& o) { o.batch_size = 0; });
  refuse({"--learning-rate is 0"}, [](Options& o) { o.learning_rate = 0; });
  refuse({"--held-out is 1"}, [](Options& o) { o.held_out = 1; });
  refuse({"--metric-ratio is 0"}, [](Options& o) { o.metric_ratio = 0; });
  refuse({"--fit-ratio is 2"}, [](Options& o) { o.fit_ratios = {0.5, 2.0}; });
  refuse({"--fit-ratio is empty"}, [](Options& o) { o.fit_ratios.emplace(); });
  refuse({"--neuron-share is 0"}, [](Options& o) { o.neuron_shares = {0.0}; });
  refuse({"--neuron-share is empty"}, [](Options& o) { o.neuron_shares.emplace(); });
  refuse({"--router-width is 8", "'ridge' has no width"}, [](Options& o) { o.router_width = 8; });
  refuse({"--product is 'gate'"}, [](Options& o) {
    o.preset = "first-product";
    o.product = "gate";
  });
  refuse({"--product is 'either'", "'ridge' computes no first product"},
         [](Options& o) { o.product = "either"; });
  refuse({"tpu"}, [](Options& o) { o.device = "tpu"; });
}

TEST_F(RouteStage, NothingIsWrittenOnFailure) {
  const auto before = tests::DirectoryBytes(options_.moe);
  const std::string good = options_.dump;
  options_.dump.clear();
  tests::ExpectError(ErrorKind::kUsage, {"needs --dump", "moefy record"}, [&] { Train(); });
  options_.dump = (dir_ / "missing").string();
  tests::ExpectError(ErrorKind::kInput, {"missing"}, [&] { Train(); });
  // A dump whose last FFN has no token.
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options_.moe);
  std::vector<std::pair<std::string, at::Tensor>> inputs;
  for (const split::MoeFfn& ffn : moe.ffns()) {
    inputs.emplace_back(ffn.spec.name, at::randn({40, ffn.spec.hidden}));
  }
  inputs.back().second = at::zeros({0, moe.ffns().back().spec.hidden});
  tests::WriteDump(dir_ / "short", inputs, moe.source_fingerprint());
  options_.dump = (dir_ / "short").string();
  tests::ExpectError(ErrorKind::kInput, {"holds no token of"}, [&] { Train(); });
  EXPECT_FALSE(std::filesystem::exists(options_.out));
  options_.out.clear();
  tests::ExpectError(ErrorKind::kInput, {"holds no token of"}, [&] { Train(); });
  // Stopped when the first router is trained.
  options_.dump = good;
  tests::StepCounter stopping("training routers");
  tests::ExpectError(ErrorKind::kInterrupted, {"training routers"},
                     [&] { RouteTrain(options_, IfExists::kRefuse, stopping); });
  EXPECT_EQ(tests::DirectoryBytes(options_.moe), before);
  EXPECT_THAT(std::vector<std::filesystem::path>(std::filesystem::directory_iterator(dir_.path()),
                                                 std::filesystem::directory_iterator()),
              ::testing::SizeIs(3))
      << "the split checkpoint and two dumps, nothing half made";
}

TEST(RouteTrainOptions, TheOldNameOfTheOutputFitGivesTheNewOne) {
  RouteTrainOptions options;
  const Json now = ParseJson(R"({"output_fit": false, "patience": 0})");
  ReadOptions(JsonObject(now, "o.json"), options);
  EXPECT_EQ(options.output_fit, false);
  EXPECT_EQ(options.patience, 0);
  EXPECT_FALSE(options.epochs.has_value());
  const Json before = ParseJson(R"({"least_squares": true})");
  tests::ExpectError(ErrorKind::kInput, {"o.json: least_squares is now called 'output_fit'"},
                     [&] { ReadOptions(JsonObject(before, "o.json"), options); });
}

}  // namespace
}  // namespace moefy::pipeline
