#include "route/router_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "record/dump_writer.h"
#include "route/router_reader.h"
#include "split/calibration.h"
#include "split/merge.h"
#include "split/verify.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"
#include "support/write_dump.h"
#include "unit/route/same_parameters.h"

namespace moefy::route {
namespace {

using ::testing::HasSubstr;
using tests::SameParameters;
using tests::WriteDump;

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
                                   const record::ActivationDump& dump,
                                   RouterTrainOptions options = {}) {
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

  WriteRouters(moe, tests::Stored(routers), {}, "random", temp_.Make("routed"));
  const auto routed = split::MoeCheckpoint::Open(temp_.path() / "routed");
  EXPECT_TRUE(HasRouters(routed));
  for (size_t i = 0; i < routers.size(); ++i) {
    const auto router = ReadMlpRouter(routed, i);
    EXPECT_TRUE(SameParameters(*router, *routers[i].router));
    EXPECT_TRUE(ReadThresholds(routed, i).equal(routers[i].thresholds));
    const NeuronThresholds neurons = ReadNeuronThresholds(routed, i);
    EXPECT_TRUE(neurons.tables.equal(routers[i].neuron_thresholds.tables));
    EXPECT_TRUE(neurons.norms.equal(routers[i].neuron_thresholds.norms));
    EXPECT_FALSE(ReadCompensation(routed, i).defined());
    EXPECT_EQ(routed.ffns()[i].plan.order(), moe.ffns()[i].plan.order());
    EXPECT_EQ(routed.manifest()["router"]["ffns"][i]["routed"]["mass"],
              routers[i].report.routed.mass);
  }
  EXPECT_EQ(routed.manifest()["router"]["kind"], "mlp");
  EXPECT_EQ(routed.manifest()["router"]["target"], "mass");
  EXPECT_EQ(routed.manifest()["router"]["options"]["corpus"], "random");
  EXPECT_FALSE(split::IsCalibrated(routed));
  EXPECT_EQ(tests::FileBytes(temp_.path() / "routed" / "spiece.model"), "tokenizer");
  EXPECT_TRUE(split::VerifyMoe(io::Checkpoint::Open(dense_), routed).ok);
  EXPECT_EQ(std::filesystem::hard_link_count(temp_.path() / "routed" / "model.safetensors"), 2u);

  // Training again replaces the routers, and gives the same bytes.
  WriteRouters(routed, tests::Stored(routers), {}, "random", temp_.Make("again"));
  EXPECT_EQ(tests::DirectoryBytes(temp_.path() / "again"),
            tests::DirectoryBytes(temp_.path() / "routed"));
  split::MergeMoe(routed, temp_.Make("merged"));
  EXPECT_EQ(tests::DirectoryBytes(temp_.path() / "merged"), tests::DirectoryBytes(dense_));
}

TEST_F(Store, EveryKindComesBack) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  const auto dump = Dump(moe, "dump", moe.source_fingerprint());
  for (const RouterKind& kind : RouterKinds()) {
    RouterTrainOptions options;
    options.router = kind.name;
    options.target = "output-norm";
    const auto routers = Train(moe, dump, options);
    WriteRouters(moe, tests::Stored(routers), options, "random", temp_.Make(kind.name));
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

TEST_F(Store, FittedWeightsAreStoredAndVerifySaysWhy) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  const auto dump = Dump(moe, "dump", moe.source_fingerprint());
  RouterTrainOptions options;
  options.fit_ratios = {0.5};
  auto routers = Train(moe, dump, options);
  const model::FfnSpec& spec = moe.ffns()[0].spec;
  const model::FfnWeights before = model::ReadFfnWeights(moe.weights(), spec);
  routers[0].substitute.w_out = before.w_out + 1;
  routers[0].substitute.compensation = at::randn({8, spec.hidden});
  routers[0].substitute.correction = {at::randn({3, spec.hidden}), at::randn({spec.hidden, 3}),
                                      at::randn({spec.hidden})};
  WriteRouters(moe, tests::Stored(routers), options, "random", temp_.Make("routed"));

  const auto routed = split::MoeCheckpoint::Open(temp_.path() / "routed");
  EXPECT_TRUE(split::IsCalibrated(routed));
  const Json& calibration = routed.manifest()["calibration"][0];
  EXPECT_EQ(calibration["kind"], "output-fit");
  EXPECT_EQ(calibration["ffn_ratios"][0], 0.5);
  EXPECT_EQ(calibration["tensors"], Json::array({spec.w_out}));
  const model::FfnWeights after = model::ReadFfnWeights(routed.weights(), spec);
  EXPECT_TRUE(after.w_out.equal(before.w_out + 1));
  EXPECT_TRUE(after.w_in.equal(before.w_in));
  EXPECT_TRUE(ReadCompensation(routed, 0).equal(routers[0].substitute.compensation));
  const Correction correction = ReadCorrection(routed, 0);
  EXPECT_TRUE(correction.down.equal(routers[0].substitute.correction.down));
  EXPECT_TRUE(correction.up.equal(routers[0].substitute.correction.up));
  EXPECT_TRUE(correction.bias.equal(routers[0].substitute.correction.bias));
  EXPECT_FALSE(ReadCorrection(routed, 1).defined());

  const split::VerifyReport report = split::VerifyMoe(io::Checkpoint::Open(dense_), routed);
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_THAT(report.problems[0], HasSubstr("'" + spec.w_out + "' differs"));
  EXPECT_THAT(report.problems[0], HasSubstr("calibrated by output-fit at ffn ratio 0.5"));
}

TEST_F(Store, WhatWasWrittenUnderOlderNamesIsRead) {
  const auto moe = split::MoeCheckpoint::Open(moe_);
  const auto dump = Dump(moe, "dump", moe.source_fingerprint());
  auto routers = Train(moe, dump);
  routers[0].substitute.w_out = model::ReadFfnWeights(moe.weights(), moe.ffns()[0].spec).w_out + 1;
  const auto directory = temp_.Make("routed");
  WriteRouters(moe, tests::Stored(routers), {}, "random", directory);
  std::string manifest = tests::FileBytes(directory / "moefy.json");
  manifest = ReplaceAll(manifest, "\"output-fit\"", "\"least-squares\"");
  manifest = ReplaceAll(manifest, "\"output_fit\"", "\"least_squares\"");
  tests::WriteBytes(directory / "moefy.json", manifest);
  const auto old = split::MoeCheckpoint::Open(directory);
  EXPECT_TRUE(split::IsCalibrated(old));
  EXPECT_TRUE(SameParameters(*ReadRouter(old, 0), *routers[0].router));
  const split::VerifyReport report = split::VerifyMoe(io::Checkpoint::Open(dense_), old);
  EXPECT_THAT(report.problems.at(0), HasSubstr("calibrated by least-squares"));
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
