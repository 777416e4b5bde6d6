#include "moefy/pipeline/record_stage.h"

#include "moefy/pipeline/split_stage.h"
#include "record/activation_dump.h"
#include "support/expect_error.h"
#include "unit/pipeline/stage_support.h"

namespace moefy::pipeline {
namespace {

using ::testing::ElementsAre;
using tests::ExpectError;

class RecordStage : public ::testing::Test {
 protected:
  RecordStage() {
    options_.checkpoint = (tests::Quickstart() / "model").string();
    options_.tasks = {(tests::Quickstart() / "sentiment.json").string()};
    options_.limit = 6;
    options_.out = (dir_ / "dump").string();
  }
  RecordResult Run(Progress& progress = SilentProgress()) const {
    return Record(options_, IfExists::kRefuse, progress);
  }

  tests::TempDir dir_;
  RecordOptions options_;
};

TEST_F(RecordStage, WritesWhatEntersEveryFfn) {
  const io::Checkpoint model = io::Checkpoint::Open(options_.checkpoint);
  tests::StepCounter progress;
  const RecordResult result = Run(progress);
  EXPECT_EQ(progress.units("fingerprint"), model.TotalBytes());
  EXPECT_EQ(result.num_examples, 6);
  const record::ActivationDump dump = record::ActivationDump::Open(result.dump);
  EXPECT_EQ(dump.info().model_fingerprint, model.Fingerprint());
  EXPECT_EQ(dump.info().corpus, "sentiment/train 6");
  ASSERT_EQ(dump.ffns().size(), result.ffns.size());
  for (size_t i = 0; i < result.ffns.size(); ++i) {
    EXPECT_EQ(dump.ffns()[i].name, result.ffns[i]);
    EXPECT_EQ(dump.ffns()[i].tokens, result.tokens[i]);
    EXPECT_GT(result.tokens[i], 0);
    EXPECT_GT(result.active_share[i], 0);
    EXPECT_LT(result.active_share[i], 1);
  }
}

// A split model computes what its dense source does, so its dump is known by the source.
TEST_F(RecordStage, KnowsASplitModelByItsSource) {
  SplitOptions split;
  split.checkpoint = options_.checkpoint;
  split.method = "random";
  split.expert_size = 16;
  split.out = (dir_ / "moe").string();
  Split(split, IfExists::kRefuse, SilentProgress());
  options_.checkpoint = split.out;
  tests::StepCounter progress;
  Run(progress);
  EXPECT_FALSE(progress.Has("fingerprint"));
  EXPECT_EQ(record::ActivationDump::Open(options_.out).info().model_fingerprint,
            io::Checkpoint::Open(split.checkpoint).Fingerprint());
}

TEST_F(RecordStage, TakesAnOpenCheckpoint) {
  const io::Checkpoint model = io::Checkpoint::Open(options_.checkpoint);
  const std::string fingerprint = model.Fingerprint();
  tests::StepCounter progress;
  Record(options_, IfExists::kRefuse, progress, model);
  EXPECT_FALSE(progress.Has("fingerprint"));
  EXPECT_EQ(record::ActivationDump::Open(options_.out).info().model_fingerprint, fingerprint);
}

TEST_F(RecordStage, RefusesWhatMakesNoSenseAndLeavesNothingBehind) {
  const auto refuse = [&](std::initializer_list<std::string_view> fragments, auto change) {
    const RecordOptions good = options_;
    change(options_);
    ExpectError(ErrorKind::kUsage, fragments, [&] { Run(); });
    options_ = good;
  };
  refuse({"either --task or --text"}, [](auto& o) { o.tasks = {}; });
  refuse({"either --task or --text"}, [](auto& o) { o.text = "corpus.txt"; });
  refuse({"needs --out"}, [](auto& o) { o.out = ""; });
  refuse({"--max-tokens is 0"}, [](auto& o) { o.max_tokens = 0; });
  refuse({"'trian'"}, [](auto& o) { o.split = "trian"; });
  for (const char* step : {"fingerprint", "recording"}) {
    tests::StepCounter progress(step);
    ExpectError(ErrorKind::kInterrupted, {step}, [&] { Run(progress); });
  }
  EXPECT_THAT(dir_.Names(), ElementsAre());
  Run();
  ExpectError(ErrorKind::kUsage, {"exists already"}, [&] { Run(); });
  EXPECT_THAT(dir_.Names(), ElementsAre("dump"));
}

}  // namespace
}  // namespace moefy::pipeline
