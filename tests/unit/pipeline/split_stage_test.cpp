#include "moefy/pipeline/split_stage.h"

#include "moefy/pipeline/verify_stage.h"
#include "split/moe_checkpoint.h"
#include "split/shared_experts.h"
#include "support/expect_error.h"
#include "unit/pipeline/stage_support.h"

namespace moefy::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tests::ExpectError;

class SplitStage : public ::testing::Test {
 protected:
  SplitStage() {
    tests::CopyModel(tests::Pico("t5-relu-tied"), dir_.Make("dense"));
    options_.checkpoint = (dir_ / "dense").string();
    options_.method = "random";
    options_.num_experts = 8;
    options_.out = (dir_ / "moe").string();
  }

  SplitResult Run(Progress& progress = SilentProgress()) const {
    return Split(options_, IfExists::kRefuse, progress);
  }
  // A dump of random inputs that says it was recorded from the model.
  void RecordDump() {
    const io::Checkpoint dense = io::Checkpoint::Open(dir_ / "dense");
    std::vector<std::pair<std::string, at::Tensor>> inputs;
    for (const model::FfnSpec& spec : model::FfnSpecs(model::ReadModelConfig(dense))) {
      inputs.emplace_back(spec.name, at::randn({50, spec.hidden}));
    }
    tests::WriteDump(dir_ / "dump", inputs, dense.Fingerprint());
    options_.dump = (dir_ / "dump").string();
  }
  uint64_t WeightBytes() const { return io::Checkpoint::Open(dir_ / "dense").TotalBytes(); }

  tests::TempDir dir_;
  SplitOptions options_;
};

TEST_F(SplitStage, IsProvedAndUndone) {
  const SplitResult result = Run();
  EXPECT_EQ(result.moe, dir_ / "moe");
  EXPECT_EQ(result.method, "random");
  EXPECT_EQ(result.num_experts, 8);
  EXPECT_GT(result.num_ffns, 1);
  EXPECT_TRUE(result.warnings.empty());
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir_ / "moe");
  EXPECT_EQ(moe.ffns().size(), static_cast<size_t>(result.num_ffns));
  EXPECT_EQ(moe.ffns()[0].plan.neurons_per_expert(), result.neurons_per_expert);
  EXPECT_TRUE(Verify({options_.checkpoint, options_.out}, SilentProgress()).ok);

  const MergeResult merged =
      Merge({options_.out, (dir_ / "back").string()}, IfExists::kRefuse, SilentProgress());
  EXPECT_TRUE(merged.warnings.empty());
  for (const char* name : {"config.json", "model.safetensors"}) {
    EXPECT_EQ(tests::FileBytes(dir_ / "back" / name), tests::FileBytes(dir_ / "dense" / name));
  }
}

TEST_F(SplitStage, HashesTheWeightsOnce) {
  RecordDump();
  options_.method = "keep-pattern";
  tests::StepCounter progress;
  Run(progress);
  EXPECT_EQ(progress.units("fingerprint"), WeightBytes());
  EXPECT_EQ(progress.units("writing the split checkpoint"), WeightBytes());
}

TEST_F(SplitStage, TakesAnOpenCheckpoint) {
  const io::Checkpoint dense = io::Checkpoint::Open(dir_ / "dense");
  const std::string fingerprint = dense.Fingerprint();
  tests::StepCounter progress;
  Split(options_, IfExists::kRefuse, progress, dense);
  EXPECT_FALSE(progress.Has("fingerprint"));
  EXPECT_EQ(split::MoeCheckpoint::Open(dir_ / "moe").source_fingerprint(), fingerprint);
}

TEST_F(SplitStage, SaysWhichFilesItLeftOut) {
  tests::AddLargeFile(dir_ / "dense");
  EXPECT_THAT(Run().warnings, ElementsAre(HasSubstr(tests::kLargeFileWarning)));
  tests::AddLargeFile(dir_ / "moe");
  EXPECT_THAT(
      Merge({options_.out, (dir_ / "back").string()}, IfExists::kRefuse, SilentProgress()).warnings,
      ElementsAre(HasSubstr(tests::kLargeFileWarning)));
}

TEST_F(SplitStage, RefusesWhatMakesNoSense) {
  const auto refuse = [&](std::initializer_list<std::string_view> fragments, auto change) {
    const SplitOptions good = options_;
    change(options_);
    ExpectError(ErrorKind::kUsage, fragments, [&] { Run(); });
    options_ = good;
  };
  refuse({"'kmean'", "did you mean 'kmeans'"}, [](auto& o) { o.method = "kmean"; });
  refuse({"--restarts is 0"}, [](auto& o) { o.restarts = 0; });
  refuse({"needs --out"}, [](auto& o) { o.out = ""; });
  refuse({"needs --dump", "moefy record"}, [](auto& o) { o.method = "coactivation"; });
  refuse({"looks at the weights alone"}, [](auto& o) { o.dump = "dump"; });
  refuse({"1000 experts do not divide"}, [](auto& o) { o.num_experts = 1000; });
  refuse({"either the number of experts or the expert size"}, [](auto& o) { o.num_experts = 0; });
  refuse({"--preset is 'cmo'", "did you mean 'cmoe'"}, [](auto& o) { o.preset = "cmo"; });
  refuse({"--shared-by is 'gate'", "no experts are shared"}, [](auto& o) { o.shared_by = "gate"; });
  refuse({"--shared-by is 'gat'"}, [](auto& o) {
    o.shared = 1;
    o.shared_by = "gat";
  });
  refuse({"--shared and --shared-range are both given"}, [](auto& o) {
    o.shared = 1;
    o.shared_range = {0.2, 0.7};
  });
  refuse({"--shared-range is [0.7,0.2]", "the least and the most"}, [](auto& o) {
    o.shared_range = {0.7, 0.2};
  });
  refuse({"--shared-range is [0.2]"}, [](auto& o) { o.shared_range = {0.2}; });
  refuse({"with shared experts needs --dump"}, [](auto& o) { o.shared_range = {0.2, 0.7}; });
  EXPECT_THAT(dir_.Names(), ElementsAre("dense"));
  Run();
  ExpectError(ErrorKind::kUsage, {"exists already"}, [&] { Run(); });
  options_.checkpoint = options_.out;
  options_.out = (dir_ / "twice").string();
  ExpectError(ErrorKind::kUsage, {"is split already", "moefy merge"}, [&] { Run(); });
  EXPECT_THAT(dir_.Names(), ElementsAre("dense", "moe"));
}

TEST_F(SplitStage, APresetIsOneHalfOfAMethod) {
  RecordDump();
  options_.preset = "cmoe";
  options_.method.reset();
  options_.num_experts = 0;
  const SplitResult result = Run();
  EXPECT_EQ(result.method, "activation-marks");
  EXPECT_EQ(result.num_experts, 8);
  EXPECT_EQ(result.num_shared, 3);
  const Json recorded = split::MoeCheckpoint::Open(options_.out).manifest()["split"];
  EXPECT_EQ(recorded["preset"], "cmoe");
  EXPECT_EQ(recorded["shared_by"], "activation");

  // What is given wins.
  options_.out = (dir_ / "other").string();
  options_.method = "keep-pattern";
  options_.num_experts = 4;
  options_.shared = 1;
  options_.shared_by = "contribution";
  const SplitResult given = Run();
  EXPECT_EQ(given.method, "keep-pattern");
  EXPECT_EQ(given.num_experts, 4);
  EXPECT_EQ(given.num_shared, 1);
  EXPECT_EQ(split::MoeCheckpoint::Open(options_.out).manifest()["split"]["shared_by"],
            "contribution");
}

TEST_F(SplitStage, EveryFfnGetsANumberOfSharedExpertsOfItsOwn) {
  RecordDump();
  options_.preset = "expertweaver";
  options_.method.reset();
  const SplitResult result = Run();
  EXPECT_EQ(result.method, "gate-profile");
  EXPECT_EQ(result.num_experts, 8);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options_.out);
  EXPECT_EQ(moe.manifest()["split"]["shared_range"], Json({0.2, 0.7}));
  const record::ActivationDump dump = record::ActivationDump::Open(options_.dump);
  const io::Checkpoint dense = io::Checkpoint::Open(dir_ / "dense");
  for (const split::MoeFfn& ffn : moe.ffns()) {
    EXPECT_EQ(ffn.plan.num_shared(),
              split::NumSharedByVariation(model::ReadFfnWeights(dense, ffn.spec),
                                          {dump, *dump.Find(ffn.spec)}, 8, {0.2, 0.7}));
  }
}

TEST_F(SplitStage, BestTakesSingleNeuronsWhereNoneIsSilent) {
  options_.preset = "best";
  options_.method.reset();
  options_.num_experts = 0;
  EXPECT_EQ(Run().neurons_per_expert, 8);
  options_.checkpoint = tests::Pico("llama-llama3-rope-scaling").string();
  options_.out = (dir_ / "gated").string();
  EXPECT_EQ(Run().neurons_per_expert, 1);
}

TEST_F(SplitStage, LeavesNothingBehindWhenItFails) {
  for (const char* step : {"fingerprint", "splitting by", "writing the split checkpoint"}) {
    SCOPED_TRACE(step);
    tests::StepCounter progress(step);
    ExpectError(ErrorKind::kInterrupted, {step}, [&] { Run(progress); });
    EXPECT_THAT(dir_.Names(), ElementsAre("dense"));
  }
  RecordDump();
  options_.method = "keep-pattern";
  tests::WriteBytes(
      dir_ / "dense" / "model.safetensors",
      tests::FileBytes(tests::Pico("t5-relu-untied-longbucket") / "model.safetensors"));
  ExpectError(ErrorKind::kInput, {}, [&] { Run(); });
  EXPECT_THAT(dir_.Names(), ElementsAre("dense", "dump"));
}

}  // namespace
}  // namespace moefy::pipeline
