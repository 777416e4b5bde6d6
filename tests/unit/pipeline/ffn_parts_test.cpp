// Stages whose FFNs several runs share.
#include "pipeline/ffn_parts.h"

#include "moefy/pipeline/join_stage.h"
#include "split/moe_checkpoint.h"
#include "support/expect_error.h"
#include "support/write_dump.h"
#include "unit/pipeline/stage_support.h"

namespace moefy::pipeline {
namespace {

using ::testing::HasSubstr;
using tests::DirectoryBytes;
using tests::ExpectError;

class FfnParts : public ::testing::Test {
 protected:
  FfnParts() {
    tests::CopyModel(tests::Pico("t5-relu-tied"), dir_.Make("dense"));
    split_.checkpoint = (dir_ / "dense").string();
    split_.num_experts = 8;
    split_.parts = (dir_ / "parts").string();
  }

  SplitResult RunShard(const std::string& shard, Progress& progress = SilentProgress()) const {
    SplitOptions options = split_;
    options.shard = shard;
    return Split(options, IfExists::kRefuse, progress);
  }
  // What one run makes without parts.
  std::map<std::string, std::string> Whole() const {
    SplitOptions options = split_;
    options.parts.clear();
    options.out = (dir_ / "whole").string();
    Split(options, IfExists::kReplace, SilentProgress());
    return DirectoryBytes(dir_ / "whole");
  }
  JoinResult JoinInto(const std::string& name) const {
    return JoinParts({split_.parts, (dir_ / name).string()}, IfExists::kRefuse, SilentProgress());
  }

  tests::TempDir dir_;
  SplitOptions split_;
};

TEST_F(FfnParts, ShardsJoinToWhatOneRunMakes) {
  for (const char* shard : {"2/3", "1/3", "3/3"}) {
    const SplitResult result = RunShard(shard);
    ASSERT_TRUE(result.shard.has_value());
    EXPECT_TRUE(result.moe.empty());
  }
  EXPECT_EQ(RunShard("1/3").shard->found, RunShard("1/3").shard->ffns);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "joined"));
  const JoinResult joined = JoinInto("joined");
  ASSERT_TRUE(joined.split.has_value());
  EXPECT_FALSE(joined.split->shard.has_value());
  EXPECT_EQ(DirectoryBytes(dir_ / "joined"), Whole());
}

TEST_F(FfnParts, AnInterruptedRunGoesOn) {
  tests::StepCounter stop("splitting");  // after the first FFN
  SplitOptions options = split_;
  options.out = (dir_ / "moe").string();
  ExpectError(ErrorKind::kInterrupted, {}, [&] { Split(options, IfExists::kRefuse, stop); });
  const auto first = std::filesystem::last_write_time(dir_ / "parts" / "0.json");
  Split(options, IfExists::kRefuse, SilentProgress());
  EXPECT_EQ(std::filesystem::last_write_time(dir_ / "parts" / "0.json"), first) << "found again";
  EXPECT_EQ(DirectoryBytes(dir_ / "moe"), Whole());
}

TEST_F(FfnParts, RoutersAreSharedToo) {
  SplitOptions split = split_;
  split.parts.clear();
  split.out = (dir_ / "moe").string();
  Split(split, IfExists::kRefuse, SilentProgress());
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(dir_ / "moe");
  std::vector<std::pair<std::string, at::Tensor>> inputs;
  for (const split::MoeFfn& ffn : moe.ffns()) {
    inputs.emplace_back(ffn.spec.name, at::randn({100, ffn.spec.hidden}));
  }
  tests::WriteDump(dir_ / "dump", inputs, moe.source_fingerprint());
  RouteTrainOptions options;
  options.moe = split.out;
  options.dump = (dir_ / "dump").string();
  options.out = (dir_ / "whole").string();
  const RouteTrainResult whole = RouteTrain(options, IfExists::kRefuse, SilentProgress());
  options.parts = split_.parts;
  options.out = (dir_ / "joined").string();
  for (const char* shard : {"1/2", "2/2"}) {
    options.shard = shard;
    ASSERT_TRUE(RouteTrain(options, IfExists::kRefuse, SilentProgress()).shard.has_value());
  }
  const JoinResult joined =
      JoinParts({options.parts, ""}, IfExists::kRefuse, SilentProgress());  // --out is the shards'
  ASSERT_TRUE(joined.routers.has_value());
  EXPECT_EQ(DirectoryBytes(dir_ / "joined"), DirectoryBytes(dir_ / "whole"));
  ASSERT_EQ(joined.routers->reports.size(), whole.reports.size());
  for (size_t i = 0; i < whole.reports.size(); ++i) {
    EXPECT_EQ(joined.routers->reports[i].final_error, whole.reports[i].final_error);
    EXPECT_EQ(joined.routers->reports[i].load, whole.reports[i].load);
    EXPECT_EQ(joined.routers->reports[i].output_fit, whole.reports[i].output_fit);
  }
}

TEST_F(FfnParts, WhatDoesNotFitIsRefused) {
  for (const char* wrong : {"0/2", "3/2", "1", "1/", "/2", "a/b", "1/2/3", "-1/2", "1/0"}) {
    ExpectError(ErrorKind::kUsage, {"--shard is", wrong, "2/8"}, [&] { RunShard(wrong); });
  }
  SplitOptions options = split_;
  options.parts.clear();
  options.shard = "1/2";
  ExpectError(ErrorKind::kUsage, {"--shard needs --parts"},
              [&] { Split(options, IfExists::kRefuse, SilentProgress()); });
  ExpectError(ErrorKind::kInput, {"keeps no parts", "--shard"}, [&] { JoinInto("joined"); });

  RunShard("1/2");
  ExpectError(ErrorKind::kInput, {"lacks", "ffn.1", "run the shards"}, [&] { JoinInto("joined"); });
  EXPECT_FALSE(std::filesystem::exists(dir_ / "joined"));
  split_.seed = 1;
  ExpectError(ErrorKind::kUsage, {"of another model or of other options", "identity"},
              [&] { RunShard("2/2"); });
}

TEST_F(FfnParts, DamagedPartsAreNamed) {
  RunShard("1/1");
  const std::string good = tests::FileBytes(dir_ / "parts" / "0.json");
  for (const auto& [damaged, why] :
       {std::pair<std::string, const char*>{good.substr(0, good.size() / 2), "0.json"},
        {ReplaceAll(good, "\"order\"", "\"other\""), "order"},
        {R"({"tensors": 0, "values": {"order": [1, 0], "num_experts": 1, "num_shared": 0}})",
         "2 neurons"}}) {
    tests::WriteBytes(dir_ / "parts" / "0.json", damaged);
    ExpectError(ErrorKind::kInput, {why}, [&] { JoinInto("joined"); });
  }
}

}  // namespace
}  // namespace moefy::pipeline
