#include "split/moe_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "moefy/base/version.h"
#include "split/merge.h"
#include "split/verify.h"
#include "support/expect_error.h"
#include "unit/split/split_checkpoint.h"

namespace moefy::split {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using MoeWriter = SplitCheckpoint;

TEST_F(MoeWriter, WritesWhatTheFormatSays) {
  tests::WriteBytes(dense_ / "spiece.model", "tokenizer");
  tests::WriteBytes(dense_ / "README.md", "words");
  tests::WriteBytes(dense_ / ".hidden", "x");
  tests::WriteBytes(dense_ / "pytorch_model.bin", "dense weights in another format");
  tests::WriteBytes(dense_ / "moefy.other", "x");
  std::filesystem::create_directory(dense_ / "logs");
  tests::SplitInto(dense_, moe_, 8);

  std::vector<std::string> names;
  for (const auto& [name, bytes] : tests::DirectoryBytes(moe_)) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("README.md", "config.json", "model.safetensors", "moefy.json",
                                 "moefy.safetensors", "spiece.model"));
  EXPECT_EQ(tests::FileBytes(moe_ / "spiece.model"), "tokenizer");

  const MoeCheckpoint moe = MoeCheckpoint::Open(moe_);
  const io::Checkpoint dense = io::Checkpoint::Open(dense_);
  EXPECT_EQ(moe.source_fingerprint(), dense.Fingerprint());
  ASSERT_FALSE(moe.ffns().empty());
  const std::string first = moe.ffns()[0].spec.name;
  EXPECT_EQ(moe.ffns()[0].plan.num_experts(), 8);
  EXPECT_EQ(moe.manifest()["split"]["method"], "random");
  EXPECT_EQ(moe.manifest()["moefy_version"], kVersion);
  EXPECT_EQ(moe.manifest()["source"]["tensors"], dense.TensorNames().size());
  EXPECT_EQ(moe.manifest()["source"]["bytes"], dense.TotalBytes());
  EXPECT_EQ(moe.manifest()["ffns"][0]["name"], first);
  EXPECT_TRUE(moe.manifest()["router"].is_null());
  EXPECT_TRUE(moe.manifest()["warnings"].empty());
}

TEST_F(MoeWriter, NeuronsMoveAsThePlanSays) {
  tests::SplitInto(dense_, moe_, 8);
  const MoeCheckpoint moe = MoeCheckpoint::Open(moe_);
  const io::Checkpoint dense = io::Checkpoint::Open(dense_);
  for (const MoeFfn& ffn : moe.ffns()) {
    const model::FfnWeights before = model::ReadFfnWeights(dense, ffn.spec);
    const model::FfnWeights after = model::ReadFfnWeights(moe.weights(), ffn.spec);
    EXPECT_FALSE(after.w_in.equal(before.w_in));
    const at::Tensor order = at::tensor(at::ArrayRef<int64_t>(ffn.plan.order()));
    EXPECT_TRUE(after.w_in.equal(before.w_in.index_select(0, order)));
    EXPECT_TRUE(after.w_out.equal(before.w_out.index_select(0, order)));
  }
}

TEST_F(MoeWriter, KeepsHowManyExpertsAreShared) {
  tests::SplitInto(dense_, moe_, 8, "kmeans", 1, 3);
  const MoeCheckpoint moe = MoeCheckpoint::Open(moe_);
  for (const MoeFfn& ffn : moe.ffns()) EXPECT_EQ(ffn.plan.num_shared(), 3);
  EXPECT_EQ(moe.manifest()["ffns"][0]["num_shared"], 3);
  EXPECT_TRUE(VerifyMoe(io::Checkpoint::Open(dense_), moe).ok);
  const std::filesystem::path merged = temp_.Make("merged");
  MergeMoe(moe, merged);
  EXPECT_EQ(tests::DirectoryBytes(merged), tests::DirectoryBytes(dense_));

  // As earlier versions wrote it, and as none does.
  Json manifest = moe.manifest();
  const auto reopen = [&](const Json& num_shared) {
    for (Json& ffn : manifest["ffns"]) {
      ffn.erase("num_shared");
      if (!num_shared.is_null()) ffn["num_shared"] = num_shared;
    }
    tests::WriteBytes(moe_ / kMoeManifest, FormatJson(manifest));
    return MoeCheckpoint::Open(moe_).ffns()[0].plan.num_shared();
  };
  EXPECT_EQ(reopen(nullptr), 0);
  EXPECT_EQ(reopen(7), 7);
  for (const int bad : {8, -1}) {
    tests::ExpectError(ErrorKind::kInput, {"moefy.json", "num_shared", std::to_string(bad)},
                       [&] { reopen(bad); });
  }
}

TEST_F(MoeWriter, IsTheSameEveryTime) {
  tests::SplitInto(dense_, moe_, 8, "kmeans");
  tests::SplitInto(dense_, temp_.path() / "again", 8, "kmeans");
  EXPECT_EQ(tests::DirectoryBytes(moe_), tests::DirectoryBytes(temp_.path() / "again"));
}

TEST_F(MoeWriter, NamesFilesTooLargeToCopy) {
  tests::WriteBytes(dense_ / "corpus.txt", "");
  std::filesystem::resize_file(dense_ / "corpus.txt", (64 << 20) + 1);  // sparse
  tests::SplitInto(dense_, moe_, 8);
  EXPECT_FALSE(std::filesystem::exists(moe_ / "corpus.txt"));
  const Json warnings = MoeCheckpoint::Open(moe_).manifest()["warnings"];
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0].get<std::string>(), HasSubstr("'corpus.txt' was not copied"));
}

TEST_F(MoeWriter, PlansMayComeOneByOneAndInAnyOrder) {
  tests::SplitInto(dense_, moe_, 8);
  const MoeCheckpoint moe = MoeCheckpoint::Open(moe_);
  const io::Checkpoint dense = io::Checkpoint::Open(dense_);
  std::vector<model::FfnSpec> specs;
  for (const MoeFfn& ffn : moe.ffns()) specs.push_back(ffn.spec);
  ASSERT_GE(specs.size(), 2u);
  split::MoeWriter writer(dense, specs, temp_.Make("late"));
  for (size_t i = specs.size(); i-- > 0;) writer.Add(i, moe.ffns()[i].plan);
  writer.Finish(moe.manifest()["source"]["family"], moe.ffns(), moe.manifest()["split"],
                SilentProgress());
  EXPECT_EQ(tests::DirectoryBytes(temp_.path() / "late"), tests::DirectoryBytes(moe_));
}

TEST_F(MoeWriter, AFullDiskIsToldWhileItWaits) {
  const io::Checkpoint dense = io::Checkpoint::Open(dense_);
  const std::vector<MoeFfn> ffns = tests::PlanAll(dense, "random", 8, 1);
  std::vector<model::FfnSpec> specs;
  for (const MoeFfn& ffn : ffns) specs.push_back(ffn.spec);
  const std::filesystem::path full = temp_.Make("full");
  std::filesystem::create_symlink("/dev/full", full / "model.safetensors");
  tests::ExpectError(ErrorKind::kSystem, {"model.safetensors", "No space left on device"}, [&] {
    split::MoeWriter writer(dense, specs, full);
    for (size_t i = 0; i < ffns.size(); ++i) writer.Add(i, ffns[i].plan);
    writer.Finish("t5", ffns, {}, SilentProgress());
  });
  // One that is given up in the middle leaves without a word.
  const split::MoeWriter given_up(dense, specs, temp_.Make("given-up"));
}

// What a split checkpoint gets when it is written again, and what stays.
TEST_F(MoeWriter, WritesASplitCheckpointAgainWithChanges) {
  tests::SplitInto(dense_, moe_, 8);
  const MoeCheckpoint moe = MoeCheckpoint::Open(moe_);
  const model::FfnSpec& spec = moe.ffns()[0].spec;

  // Without changes: equal files, and the weights under a second name.
  const std::filesystem::path same = temp_.Make("same");
  EXPECT_TRUE(WriteChangedMoe(moe, {}, same).empty());
  EXPECT_EQ(tests::DirectoryBytes(same), tests::DirectoryBytes(moe_));
  EXPECT_TRUE(std::filesystem::equivalent(same / "model.safetensors", moe_ / "model.safetensors"));

  MoeChanges changes;
  changes.weights[spec.w_out] = at::ones({spec.hidden, spec.num_neurons});
  changes.calibration = {"gradient", {0.5}, "mlp", "sst2", {spec.w_out}};
  changes.routers = MoeChanges::Routers{{{"kind", "mlp"}},
                                        {{spec.name + ".router.w1", at::ones({8, spec.hidden})}}};
  WriteChangedMoe(moe, changes, temp_.Make("changed"));
  const MoeCheckpoint changed = MoeCheckpoint::Open(temp_.path() / "changed");
  EXPECT_TRUE(model::ReadTensor(changed.weights(), spec.w_out).eq(1).all().item<bool>());
  EXPECT_EQ(changed.manifest()["router"]["kind"], "mlp");
  EXPECT_TRUE(io::HasShape(*changed.extras().Find(spec.name + ".router.w1"), {8, spec.hidden}));
  EXPECT_EQ(changed.ffns()[0].plan.order(), moe.ffns()[0].plan.order());
  ASSERT_TRUE(IsCalibrated(changed));
  EXPECT_FALSE(IsCalibrated(moe));
  const Calibration calibration = ReadCalibrations(changed).at(0);
  EXPECT_EQ(calibration.kind, "gradient");
  EXPECT_EQ(calibration.task, "sst2");
  EXPECT_THAT(calibration.tensors, ElementsAre(spec.w_out));
  const VerifyReport report = VerifyMoe(io::Checkpoint::Open(dense_), changed);
  EXPECT_THAT(report.problems, ElementsAre(HasSubstr(": calibrated by gradient at ffn ratio 0.5")));

  // New routers take the place of old ones; calibrations add up; large files are named.
  tests::WriteBytes(temp_.path() / "changed" / "corpus.txt", "");
  std::filesystem::resize_file(temp_.path() / "changed" / "corpus.txt", (64 << 20) + 1);
  changes.routers =
      MoeChanges::Routers{{{"kind", "ridge"}}, {{spec.name + ".router.w", at::ones({2})}}};
  EXPECT_THAT(WriteChangedMoe(changed, changes, temp_.Make("again")),
              ElementsAre(HasSubstr("'corpus.txt' was not copied")));
  const MoeCheckpoint again = MoeCheckpoint::Open(temp_.path() / "again");
  EXPECT_FALSE(again.extras().Find(spec.name + ".router.w1"));
  EXPECT_TRUE(again.extras().Find(spec.name + ".router.w"));
  EXPECT_EQ(ReadCalibrations(again).size(), 2u);
}

}  // namespace
}  // namespace moefy::split
