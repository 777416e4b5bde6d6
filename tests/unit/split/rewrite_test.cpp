#include "split/rewrite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "moefy/base/version.h"
#include "split/permute.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::split {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Rewrite : public ::testing::Test {
 protected:
  Rewrite() : dense_(temp_.Make("dense")), moe_(temp_.path() / "moe") {
    tests::CopyModel(tests::Pico("t5-relu-tied"), dense_);
  }
  // Replaces `from`, which must occur, in a text file of the split checkpoint.
  void Edit(const std::string& file, const std::string& from, const std::string& to) {
    const std::string text = tests::FileBytes(moe_ / file);
    ASSERT_THAT(text, HasSubstr(from));
    tests::WriteBytes(moe_ / file, ReplaceAll(text, from, to));
  }

  tests::TempDir temp_;
  std::filesystem::path dense_, moe_;
};

TEST_F(Rewrite, WritesWhatTheFormatSays) {
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

TEST_F(Rewrite, NeuronsMoveAsThePlanSays) {
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

TEST_F(Rewrite, KeepsHowManyExpertsAreShared) {
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

TEST_F(Rewrite, IsTheSameEveryTime) {
  tests::SplitInto(dense_, moe_, 8, "kmeans");
  tests::SplitInto(dense_, temp_.path() / "again", 8, "kmeans");
  EXPECT_EQ(tests::DirectoryBytes(moe_), tests::DirectoryBytes(temp_.path() / "again"));
}

TEST_F(Rewrite, RefusesToSplitTwice) {
  tests::SplitInto(dense_, moe_, 8);
  tests::ExpectError(ErrorKind::kUsage, {"is split already"},
                     [&] { tests::SplitInto(moe_, temp_.path() / "twice", 8); });
}

TEST_F(Rewrite, NamesFilesTooLargeToCopy) {
  tests::WriteBytes(dense_ / "corpus.txt", "");
  std::filesystem::resize_file(dense_ / "corpus.txt", (64 << 20) + 1);  // sparse
  tests::SplitInto(dense_, moe_, 8);
  EXPECT_FALSE(std::filesystem::exists(moe_ / "corpus.txt"));
  const Json warnings = MoeCheckpoint::Open(moe_).manifest()["warnings"];
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0].get<std::string>(), HasSubstr("'corpus.txt' was not copied"));
}

TEST_F(Rewrite, VerifyAcceptsTheSplitAndNothingElse) {
  tests::SplitInto(dense_, moe_, 8);
  const io::Checkpoint dense = io::Checkpoint::Open(dense_);
  {
    const MoeCheckpoint moe = MoeCheckpoint::Open(moe_);
    const VerifyReport report = VerifyMoe(dense, moe);
    EXPECT_TRUE(report.ok) << Join(report.problems, "\n");
    EXPECT_EQ(report.num_tensors, static_cast<int64_t>(dense.TensorNames().size()));
    EXPECT_EQ(report.num_permuted, static_cast<int64_t>(2 * moe.ffns().size()));
  }
  // One flipped bit in one FFN tensor and one in another tensor, each under its name.
  std::string bytes = tests::FileBytes(moe_ / "model.safetensors");
  const io::SafetensorsFile file(moe_ / "model.safetensors");
  const std::string w_out = MoeCheckpoint::Open(moe_).ffns()[0].spec.w_out;
  const size_t data = file.HeaderBytes().size();
  bytes[data + file.Find(w_out)->begin + 5] ^= 1;
  bytes[data + file.Find("shared.weight")->begin] ^= 1;
  std::filesystem::remove(moe_ / "model.safetensors");
  tests::WriteBytes(moe_ / "model.safetensors", bytes);
  Edit("config.json", "\"model_type\"", "\"extra\": 1, \"model_type\"");
  const VerifyReport report = VerifyMoe(dense, MoeCheckpoint::Open(moe_));
  EXPECT_FALSE(report.ok);
  ASSERT_EQ(report.problems.size(), 3u) << Join(report.problems, "\n");
  EXPECT_THAT(report.problems[0], HasSubstr("config.json differs"));
  EXPECT_THAT(
      report.problems[1],
      HasSubstr("'" + w_out + "' differs after the inverse permutation, first at byte 5 of"));
  EXPECT_THAT(report.problems[2], HasSubstr("'shared.weight' differs, first at byte 0 of"));
}

TEST_F(Rewrite, OpenSaysWhatIsWrong) {
  const auto expect = [&](const std::string& fragment) {
    tests::ExpectError(ErrorKind::kInput, {fragment}, [&] { MoeCheckpoint::Open(moe_); });
  };
  tests::ExpectError(ErrorKind::kInput, {"is not a split checkpoint: it has no moefy.json"},
                     [&] { MoeCheckpoint::Open(dense_); });
  tests::SplitInto(dense_, moe_, 8);
  const auto good = tests::DirectoryBytes(moe_);
  const auto restore = [&] {
    for (const auto& [name, bytes] : good) {
      std::filesystem::remove(moe_ / name);
      tests::WriteBytes(moe_ / name, bytes);
    }
  };
  EXPECT_NO_THROW(MoeCheckpoint::Open(moe_));

  Edit("moefy.json", "\"format\": 1", "\"format\": 2");
  expect("format is 2; this moefy (which reads formats up to 1) is older");
  restore();
  Edit("moefy.json", "\"family\": \"t5\"", "\"family\": \"bert\"");
  expect("is 'bert'; config.json says 't5'");
  restore();
  Edit("moefy.json", "\"name\": \"encoder.ffn.0\"", "\"name\": \"encoder.ffn.9\"");
  expect("FFN 0 is 'encoder.ffn.9'; expected 'encoder.ffn.0'");
  restore();
  Edit("moefy.json", "\"num_experts\": 8", "\"num_experts\": 16");
  expect("'encoder.ffn.0' has 16 experts of ");
  restore();
  Edit("moefy.json", "\"num_experts\": 8", "\"num_experts\": 0");
  expect("expected a whole number from 1");
  restore();
  Edit("moefy.json", "\"ffns\": [", "\"ffns\": [], \"others\": [");
  expect("lists 0 FFNs");
  restore();
  std::filesystem::remove(moe_ / "moefy.safetensors");
  expect("moefy.safetensors");
  restore();

  // A plan that is no permutation: the first neuron's place twice.
  std::string bytes = good.at("moefy.safetensors");
  const io::SafetensorsFile file(moe_ / "moefy.safetensors");
  const size_t begin = file.HeaderBytes().size() + file.Find("encoder.ffn.0.neuron_order")->begin;
  bytes.replace(begin + 8, 8, bytes.substr(begin, 8));
  std::filesystem::remove(moe_ / "moefy.safetensors");
  tests::WriteBytes(moe_ / "moefy.safetensors", bytes);
  expect("'encoder.ffn.0.neuron_order': expert plan: neuron ");
  restore();
  EXPECT_NO_THROW(MoeCheckpoint::Open(moe_));
}

TEST_F(Rewrite, MergeRefusesAnEditedConfig) {
  tests::SplitInto(dense_, moe_, 8);
  Edit("config.json", "{\"format\": 1}", "{\"format\":1}");
  tests::ExpectError(ErrorKind::kInput, {"changed after the split"},
                     [&] { MergeMoe(MoeCheckpoint::Open(moe_), temp_.Make("merged")); });
}

TEST(Permute, MovesNeuronsOfEveryWidth) {
  const Permutation rows{{2, 0, 1}, NeuronAxis::kRows}, columns{{2, 0, 1}, NeuronAxis::kColumns};
  std::vector<std::byte> scratch;
  for (const io::DType dtype : {io::DType::kF8E4M3, io::DType::kF16, io::DType::kBF16,
                                io::DType::kF32, io::DType::kF64, io::DType::kC64}) {
    const auto width = static_cast<size_t>(io::DTypeBits(dtype)) / 8;
    std::vector<std::byte> bytes(6 * width);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    const auto element = [&](std::span<const std::byte> span, size_t i) {
      return static_cast<size_t>(span[i * width]) / width;  // which one it was
    };
    io::TensorInfo info{"w", dtype, {3, 2}, 0, bytes.size()};
    auto out = Permute(info, bytes, rows, scratch);
    const size_t by_rows[] = {4, 5, 0, 1, 2, 3}, by_columns[] = {2, 0, 1, 5, 3, 4};
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(element(out, i), by_rows[i]);
    info.shape = {2, 3};
    out = Permute(info, bytes, columns, scratch);
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(element(out, i), by_columns[i]);
    for (size_t i = 0; i < 6 * width; ++i)
      EXPECT_EQ(static_cast<size_t>(out[i]) % width, i % width);
  }
}

TEST(Version, IsTheProjects) {
  EXPECT_THAT(tests::FileBytes(std::filesystem::path(MOEFY_SOURCE_DIR) / "CMakeLists.txt"),
              HasSubstr(StrCat("project(moefy VERSION ", kVersion, " ")));
}

}  // namespace
}  // namespace moefy::split
