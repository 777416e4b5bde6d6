#include "pipeline/sparsify_stage.h"

#include "model/family.h"
#include "model/open_checkpoint.h"
#include "support/expect_error.h"
#include "unit/pipeline/stage_support.h"

namespace moefy::pipeline {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using tests::ExpectError;

SparsifyOptions Options(const std::filesystem::path& checkpoint, const tests::TempDir& dir) {
  SparsifyOptions options;
  options.checkpoint = checkpoint.string();
  options.out = (dir / "sparse").string();
  options.training.trainer.steps = 4;
  options.training.trainer.batch_size = 4;
  options.training.trainer.evaluate_every = 2;
  return options;
}

class SparsifyStage : public ::testing::Test {
 protected:
  SparsifyStage() {
    options_ = Options(tests::CopyQuickstart(dir_), dir_);
    options_.training.task = (tests::Quickstart() / "sentiment.json").string();
    options_.training.limit = 40;
  }
  SparsifyResult Run(Progress& progress = SilentProgress()) const {
    return Sparsify(options_, IfExists::kRefuse, progress);
  }
  void Refuse(std::initializer_list<std::string_view> fragments, auto change) const {
    SparsifyOptions options = options_;
    change(options);
    ExpectError(ErrorKind::kUsage, fragments,
                [&] { Sparsify(options, IfExists::kRefuse, SilentProgress()); });
  }

  tests::TempDir dir_;
  SparsifyOptions options_;
};

TEST_F(SparsifyStage, WritesAnOrdinaryCheckpointAndSaysWhatFires) {
  options_.activation = "relu2";
  options_.pressure.active = 0.001;
  const SparsifyResult result = Run();
  EXPECT_THAT(dir_.Names(), ElementsAre("dense", "sparse")) << "no state is left";
  EXPECT_EQ(result.activation, "relu2");
  EXPECT_EQ(result.original_activation, "relu");
  const io::Checkpoint before = io::Checkpoint::Open(dir_ / "dense");
  const io::Checkpoint after = model::OpenCheckpoint(dir_ / "sparse");
  EXPECT_EQ(after.TensorNames(), before.TensorNames());
  EXPECT_EQ(model::ReadModelConfig(after).activation, model::Activation(model::Activation::kRelu2));
  EXPECT_THAT(result.original_active, SizeIs(result.ffns.size()));
  EXPECT_THAT(result.original_active, Each(::testing::Gt(0)));
  for (const train::Measurement& point : result.training.report.history) {
    EXPECT_THAT(point.active, SizeIs(result.ffns.size()));
  }
  EXPECT_THAT(result.training.warnings, ::testing::Contains(HasSubstr("0.10 % were asked for")));
}

TEST_F(SparsifyStage, GoesOnWhereItWasStopped) {
  const auto weights = [&](const char* name) {
    return tests::FileBytes(dir_ / name / "model.safetensors");
  };
  Run();
  std::filesystem::rename(dir_ / "sparse", dir_ / "whole");
  tests::StepCounter progress("steps 3 to 4");
  ExpectError(ErrorKind::kInterrupted, {"goes on from there"}, [&] { Run(progress); });
  EXPECT_THAT(dir_.Names(), ElementsAre("dense", "sparse.training", "whole"));
  EXPECT_GT(Run().training.report.first_step, 0);
  EXPECT_EQ(weights("sparse"), weights("whole"));
}

TEST_F(SparsifyStage, RefusesWhatMakesNoSense) {
  Refuse({"needs --out"}, [](auto& o) { o.out = ""; });
  Refuse({"either --task or --text"}, [](auto& o) { o.training.task = ""; });
  Refuse({"either --task or --text"}, [](auto& o) { o.text = "text.txt"; });
  Refuse({"--activation is 'gelu'", "relu, relu2, relu_both, keep"},
         [](auto& o) { o.activation = "gelu"; });
  Refuse({"'relu_both'", "it is 'relu'"}, [](auto& o) { o.activation = "relu_both"; });
  Refuse({"--active is 0"}, [](auto& o) { o.pressure.active = 0; });
  Refuse({"--penalty is 'l3'"}, [](auto& o) { o.pressure.penalty = "l3"; });
  Refuse({"--ramp is 2"}, [](auto& o) { o.pressure.ramp = 2; });
  Refuse({"--distill is 2"}, [](auto& o) { o.distill.distill = 2; });
  Refuse({"--lora-rank is 1000", "at most 96"}, [](auto& o) { o.training.lora.rank = 1000; });
  ExpectError(ErrorKind::kUsage, {"--token-dropout is for encoders", "mistral"}, [] {
    SparsifyOptions options;
    options.training.trainer.token_dropout = 0.5;
    CheckSuits(options, model::OpenCheckpoint(tests::Pico("mistral-gqa")));
  });
  Refuse({"needs a checkpoint"}, [](auto& o) { o.checkpoint = ""; });
  Refuse({"'heads'"}, [](auto& o) { o.training.train = "heads"; });
  Refuse({"is split", "before `moefy split`"}, [&](auto& o) {
    tests::SplitInto(o.checkpoint, dir_ / "moe", 8);
    o.checkpoint = (dir_ / "moe").string();
  });
  EXPECT_THAT(dir_.Names(), ElementsAre("dense", "moe"));
}

}  // namespace
}  // namespace moefy::pipeline
