#include <gtest/gtest.h>

#include <algorithm>

#include "io/rewrite_checkpoint.h"
#include "moefy/io/checkpoint.h"
#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"

namespace moefy::io {
namespace {

using Names = std::vector<std::string>;

// Valid, but nothing our writer would write: order, spaces, no padding, odd offsets.
const std::string kOdd = tests::SafetensorsBytes(
    R"( { "z" : {"data_offsets":[0,3],"shape":[3],"dtype":"U8"} , "__metadata__":null,)"
    R"("a":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}, "e":{"dtype":"F32",)"
    R"("shape":[0],"data_offsets":[3,3]} })"
    "\n",
    "123abcd");
const std::string kOther =
    tests::SafetensorsBytes(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "yz");

std::span<const std::byte> Identity(const TensorInfo&, std::span<const std::byte> bytes,
                                    std::vector<std::byte>&) {
  return bytes;
}

std::span<const std::byte> Reverse(const TensorInfo&, std::span<const std::byte> bytes,
                                   std::vector<std::byte>& scratch) {
  scratch.assign(bytes.rbegin(), bytes.rend());
  return scratch;
}

TEST(RewriteCheckpoint, IdentityGivesTheSameFile) {
  const tests::TempDir source, target;
  source.Write("model.safetensors", kOdd);
  RewriteCheckpoint(Checkpoint::Open(source.path()), target.path(), Identity);
  EXPECT_EQ(target.Names(), Names{"model.safetensors"});
  EXPECT_EQ(target.Read("model.safetensors"), kOdd);
}

TEST(RewriteCheckpoint, KeepsShardsAndIndex) {
  const tests::TempDir source, target;
  const std::string index =
      "{ \"metadata\": {\"total_size\": 9, \"x\": [1]},\r\n \"weight_map\": {\"z\": "
      "\"odd.safetensors\", \"b\": \"other.safetensors\", \"a\": \"odd.safetensors\", \"e\": "
      "\"odd.safetensors\"}}";
  source.Write("model.safetensors.index.json", index);
  source.Write("odd.safetensors", kOdd);
  source.Write("other.safetensors", kOther);
  RewriteCheckpoint(Checkpoint::Open(source.path()), target.path(), Identity);
  EXPECT_EQ(target.Names(), source.Names());
  for (const std::string& name : source.Names()) EXPECT_EQ(target.Read(name), source.Read(name));
}

TEST(RewriteCheckpoint, TransformsEveryTensorOnce) {
  const tests::TempDir source, target, back;
  source.Write("model.safetensors", kOdd);
  Names seen;
  RewriteCheckpoint(Checkpoint::Open(source.path()), target.path(),
                    [&](const TensorInfo& info, std::span<const std::byte> bytes,
                        std::vector<std::byte>& scratch) {
                      seen.push_back(info.name);
                      return Reverse(info, bytes, scratch);
                    });
  EXPECT_EQ(seen, (Names{"z", "e", "a"})) << "the order in the file";
  const Checkpoint rewritten = Checkpoint::Open(target.path());
  EXPECT_EQ(tests::AsString(rewritten.Bytes("z")), "321");
  EXPECT_EQ(tests::AsString(rewritten.Bytes("a")), "dcba");
  RewriteCheckpoint(rewritten, back.path(), Reverse);
  EXPECT_EQ(back.Read("model.safetensors"), kOdd);
}

TEST(RewriteCheckpoint, ASingleFileBecomesADirectorysModel) {
  const tests::TempDir source, target;
  RewriteCheckpoint(Checkpoint::Open(source.Write("weights.safetensors", kOther)), target.path(),
                    Identity);
  EXPECT_EQ(target.Names(), Names{"model.safetensors"});
  EXPECT_NO_THROW(Checkpoint::Open(target.path()));
}

TEST(RewriteCheckpoint, NeverWritesOverItsSource) {
  const tests::TempDir source;
  source.Write("model.safetensors", kOdd);
  const Checkpoint checkpoint = Checkpoint::Open(source.path());
  tests::ExpectError(ErrorKind::kSystem, {"File exists"},
                     [&] { RewriteCheckpoint(checkpoint, source.path(), Reverse); });
  EXPECT_EQ(source.Read("model.safetensors"), kOdd);
}

TEST(RewriteCheckpoint, AFullDiskIsASystemError) {
  const tests::TempDir source, target;
  source.Write("model.safetensors", kOdd);
  std::filesystem::create_symlink("/dev/full", target / "model.safetensors");
  const Checkpoint checkpoint = Checkpoint::Open(source.path());
  tests::ExpectError(ErrorKind::kSystem, {"model.safetensors", "No space left on device"},
                     [&] { RewriteCheckpoint(checkpoint, target.path(), Identity); });
}

TEST(RewriteCheckpoint, AWrongSizeIsABug) {
  const tests::TempDir source, target;
  source.Write("model.safetensors", kOdd);
  const Checkpoint checkpoint = Checkpoint::Open(source.path());
  tests::ExpectError(ErrorKind::kBug, {}, [&] {
    RewriteCheckpoint(checkpoint, target.path(),
                      [](const TensorInfo&, std::span<const std::byte> bytes,
                         std::vector<std::byte>&) { return bytes.first(bytes.size() / 2); });
  });
}

}  // namespace
}  // namespace moefy::io
