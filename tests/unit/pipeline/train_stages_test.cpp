#include "pipeline/train_stages.h"

#include "moefy/pipeline/split_stage.h"
#include "moefy/pipeline/verify_stage.h"
#include "split/calibration.h"
#include "support/expect_error.h"
#include "unit/pipeline/stage_support.h"

namespace moefy::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tests::ExpectError;

class TrainStages : public ::testing::Test {
 protected:
  TrainStages() {
    dense_ = tests::CopyQuickstart(dir_).string();
    finetune_.checkpoint = dense_;
    finetune_.out = (dir_ / "tuned").string();
    calibrate_.moe = (dir_ / "moe").string();
    calibrate_.out = (dir_ / "calibrated").string();
    for (TrainStageOptions* training : {&finetune_.training, &calibrate_.training}) {
      training->task = (tests::Quickstart() / "sentiment.json").string();
      training->limit = 40;
      training->train = "w-out";
      training->trainer.steps = 2;
      training->trainer.batch_size = 4;
      training->trainer.learning_rate = 1e-3;
    }
  }
  void SplitModel() const {
    SplitOptions split;
    split.checkpoint = dense_;
    split.method = "random";
    split.expert_size = 16;
    split.out = calibrate_.moe;
    Split(split, IfExists::kRefuse, SilentProgress());
  }
  TrainResult RunFinetune(Progress& progress = SilentProgress()) const {
    return Finetune(finetune_, IfExists::kRefuse, progress);
  }
  TrainResult RunCalibrate(Progress& progress = SilentProgress()) const {
    return Calibrate(calibrate_, IfExists::kRefuse, progress);
  }

  tests::TempDir dir_;
  std::string dense_;
  FinetuneOptions finetune_;
  CalibrateOptions calibrate_;
};

TEST_F(TrainStages, FinetuneWritesAModelOfTheSameFiles) {
  tests::AddLargeFile(dir_ / "dense");
  tests::StepCounter progress;
  const TrainResult result = RunFinetune(progress);
  EXPECT_EQ(progress.units("fingerprint"), io::Checkpoint::Open(dense_).TotalBytes());
  EXPECT_THAT(result.report.ffn_ratios, ElementsAre(1.0));
  EXPECT_EQ(result.report.history.size(), 2u);
  EXPECT_GT(result.report.num_trained, 0);
  EXPECT_THAT(result.warnings, ::testing::Contains(HasSubstr(tests::kLargeFileWarning)));
  EXPECT_THAT(dir_.Names(), ElementsAre("dense", "tuned")) << "no state is left";
  for (const char* name : {"config.json", "spiece.model", "tokenizer_config.json"}) {
    EXPECT_EQ(tests::FileBytes(result.out / name), tests::FileBytes(dir_ / "dense" / name));
  }
  const io::Checkpoint before = io::Checkpoint::Open(dense_);
  EXPECT_EQ(io::Checkpoint::Open(result.out).TensorNames(), before.TensorNames());
}

TEST_F(TrainStages, CalibrateEntersWhatItChanged) {
  SplitModel();
  tests::AddLargeFile(dir_ / "moe");
  calibrate_.ffn_ratios = {0.25, 1};
  calibrate_.training.trainer.steps = 4;
  const TrainResult result = RunCalibrate();
  EXPECT_THAT(result.report.ffn_ratios, ElementsAre(0.25, 1));
  EXPECT_THAT(result.warnings, ::testing::Contains(HasSubstr(tests::kLargeFileWarning)));
  ASSERT_GT(result.report.best, 0u) << "this test needs a step that helps";
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(result.out);
  const std::vector<split::Calibration> calibrations = split::ReadCalibrations(moe);
  ASSERT_EQ(calibrations.size(), 1u);
  EXPECT_EQ(calibrations[0].kind, "gradient");
  EXPECT_EQ(calibrations[0].selection, "similarity");
  EXPECT_EQ(calibrations[0].task, "sentiment");
  EXPECT_THAT(calibrations[0].ffn_ratios, ElementsAre(0.25, 1));
  EXPECT_THAT(calibrations[0].tensors, ::testing::Contains(moe.ffns()[0].spec.w_out));
  const split::VerifyReport report = Verify({dense_, result.out.string()}, SilentProgress());
  EXPECT_FALSE(report.ok);
  EXPECT_THAT(report.problems, ::testing::Each(HasSubstr("calibrated by gradient")));

  calibrate_.moe = calibrate_.out;
  calibrate_.out = (dir_ / "again").string();
  calibrate_.distill.distill = 0.5;
  ExpectError(ErrorKind::kUsage, {"is calibrated already", "--dense"}, [&] { RunCalibrate(); });
  calibrate_.dense = dense_;
  const TrainResult again = RunCalibrate();
  EXPECT_EQ(split::ReadCalibrations(split::MoeCheckpoint::Open(again.out)).size(),
            again.report.best > 0 ? 2u : 1u);
}

TEST_F(TrainStages, RefuseWhatMakesNoSense) {
  const auto refuse = [&](std::initializer_list<std::string_view> fragments, auto change) {
    FinetuneOptions options = finetune_;
    change(options);
    ExpectError(ErrorKind::kUsage, fragments,
                [&] { Finetune(options, IfExists::kRefuse, SilentProgress()); });
  };
  refuse({"needs --out"}, [](auto& o) { o.out = ""; });
  refuse({"needs --task"}, [](auto& o) { o.training.task = ""; });
  refuse({"--epochs is 0"}, [](auto& o) { o.training.trainer.epochs = 0; });
  refuse({"--lora-rank is -1"}, [](auto& o) { o.training.lora.rank = -1; });
  refuse({"'heads'"}, [](auto& o) { o.training.train = "heads"; });
  refuse({"--new-head"}, [](auto& o) { o.new_head = true; });
  SplitModel();
  refuse({"is split", "moefy calibrate"}, [&](auto& o) { o.checkpoint = calibrate_.moe; });
  calibrate_.ffn_ratios = {};
  ExpectError(ErrorKind::kUsage, {"--ffn-ratio is empty"}, [&] { RunCalibrate(); });
  EXPECT_THAT(dir_.Names(), ElementsAre("dense", "moe"));
}

TEST_F(TrainStages, KeepOnlyTheirStateWhenInterrupted) {
  finetune_.training.trainer.steps = 4;
  finetune_.training.trainer.evaluate_every = 2;
  tests::StepCounter progress("steps 3 to 4");
  ExpectError(ErrorKind::kInterrupted, {"interrupted at step", "goes on from there"},
              [&] { RunFinetune(progress); });
  EXPECT_THAT(dir_.Names(), ElementsAre("dense", "tuned.training"));
  const TrainResult result = RunFinetune();
  EXPECT_GT(result.report.first_step, 0);
  EXPECT_THAT(dir_.Names(), ElementsAre("dense", "tuned"));
}

}  // namespace
}  // namespace moefy::pipeline
