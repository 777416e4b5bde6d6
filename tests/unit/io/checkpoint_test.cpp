#include "moefy/io/checkpoint.h"
#include "io/safetensors.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"

namespace moefy::io {
namespace {

using Names = std::vector<std::string>;

struct Tensor {
  TensorInfo info;
  std::string bytes;
};

const Tensor kA = {{"a", DType::kF32, {2}}, "aaaaAAAA"};
const Tensor kB = {{"b", DType::kU8, {3}}, "bbb"};
const Tensor kC = {{"c", DType::kF16, {}}, "cc"};

void WriteFile(const std::filesystem::path& path, const std::vector<Tensor>& tensors) {
  std::vector<TensorInfo> infos;
  for (const Tensor& tensor : tensors) infos.push_back(tensor.info);
  SafetensorsWriter writer(path, infos);
  for (const Tensor& tensor : tensors) writer.Write(tensor.info.name, tests::AsBytes(tensor.bytes));
  writer.Finish();
}

std::string FingerprintOf(const std::vector<Tensor>& tensors) {
  const tests::TempDir dir;
  WriteFile(dir / "model.safetensors", tensors);
  return Checkpoint::Open(dir.path()).Fingerprint();
}

void WriteSharded(const tests::TempDir& dir) {
  WriteFile(dir / "one.safetensors", {kC, kA});
  WriteFile(dir / "two.safetensors", {kB});
  dir.Write(
      "model.safetensors.index.json",
      R"({"weight_map":{"a":"one.safetensors","c":"one.safetensors","b":"two.safetensors"}})");
}

TEST(Checkpoint, OpensADirectoryWithOneFile) {
  const tests::TempDir dir;
  WriteFile(dir / "model.safetensors", {kA, kB});
  const Checkpoint checkpoint = Checkpoint::Open(dir.path());
  EXPECT_EQ(checkpoint.directory(), dir.path());
  EXPECT_FALSE(checkpoint.is_sharded());
  EXPECT_EQ(checkpoint.TensorNames(), (Names{"a", "b"}));
  EXPECT_EQ(checkpoint.TotalBytes(), 11u);
  EXPECT_EQ(tests::AsString(checkpoint.Bytes("b")), "bbb");
  EXPECT_EQ(checkpoint.Get("a").shape, std::vector<uint64_t>{2});
  EXPECT_EQ(checkpoint.Find("c"), nullptr);
  tests::ExpectError(ErrorKind::kInput, {"no tensor 'A'", "did you mean 'a'?"},
                     [&] { checkpoint.Get("A"); });
  tests::ExpectError(ErrorKind::kInput, {"no tensor 'completely.else'"},
                     [&] { checkpoint.Bytes("completely.else"); });
}

TEST(Checkpoint, OpensAFileOfAnyName) {
  const tests::TempDir dir;
  WriteFile(dir / "weights.safetensors", {kA});
  const Checkpoint checkpoint = Checkpoint::Open(dir / "weights.safetensors");
  EXPECT_EQ(checkpoint.directory(), dir.path());
  EXPECT_EQ(checkpoint.TensorNames(), Names{"a"});
}

TEST(Checkpoint, OpensShardsThatAreLinks) {
  const tests::TempDir store;
  WriteSharded(store);
  const tests::TempDir dir;  // the layout of a download cache
  for (const std::string& name : store.Names()) {
    std::filesystem::create_symlink(store / name, dir / name);
  }
  const Checkpoint checkpoint = Checkpoint::Open(dir.path());
  EXPECT_TRUE(checkpoint.is_sharded());
  EXPECT_EQ(checkpoint.index_name(), "model.safetensors.index.json");
  EXPECT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(checkpoint.TensorNames(), (Names{"a", "b", "c"}));
  EXPECT_EQ(tests::AsString(checkpoint.Bytes("c")), "cc");
}

TEST(Checkpoint, StaysWholeWhenMoved) {
  const tests::TempDir dir;
  WriteSharded(dir);
  Checkpoint first = Checkpoint::Open(dir.path());
  const Checkpoint second = std::move(first);
  EXPECT_EQ(tests::AsString(second.Bytes("a")), "aaaaAAAA");
  EXPECT_EQ(second.Get("b").name, "b");
}

TEST(Checkpoint, SaysWhatItCannotOpen) {
  const tests::TempDir dir;
  tests::ExpectError(ErrorKind::kInput, {"none: no such file"},
                     [&] { Checkpoint::Open(dir / "none"); });
  tests::ExpectError(ErrorKind::kInput, {"not a file of torch.save"},
                     [&] { Checkpoint::Open(dir.Write("model.pt", "x")); });
  tests::ExpectError(ErrorKind::kInput, {"expected a directory or a file"},
                     [&] { Checkpoint::Open(dir.Write("model.txt", "x")); });
  tests::ExpectError(ErrorKind::kInput, {"name the directory"},
                     [&] { Checkpoint::Open(dir.Write("model.safetensors.index.json", "{}")); });
}

TEST(Checkpoint, KeepsTheConfigThatItReadFirst) {
  const tests::TempDir dir;
  WriteSharded(dir);
  EXPECT_EQ(Checkpoint::Open(dir.path()).ConfigText(), "");
  dir.Write("config.json", "{}");
  const Checkpoint checkpoint = Checkpoint::Open(dir.path());
  const Checkpoint copy = checkpoint;
  EXPECT_EQ(checkpoint.ConfigText(), "{}");
  dir.Write("config.json", "changed");
  EXPECT_EQ(checkpoint.ConfigText(), "{}");
  EXPECT_EQ(copy.ConfigText(), "{}");
  EXPECT_EQ(Checkpoint::Open(dir.path()).ConfigText(), "changed");
}

TEST(Checkpoint, KeepsTheFileBesideItThatItOpenedFirst) {
  const tests::TempDir dir;
  WriteSharded(dir);
  EXPECT_EQ(Checkpoint::Open(dir.path()).Beside("other.safetensors"), nullptr);
  std::filesystem::copy_file(dir / "one.safetensors", dir / "other.safetensors");
  const Checkpoint checkpoint = Checkpoint::Open(dir.path());
  const Checkpoint copy = checkpoint;
  const auto file = checkpoint.Beside("other.safetensors");
  ASSERT_NE(file, nullptr);
  EXPECT_FALSE(file->tensors().empty());
  EXPECT_EQ(copy.Beside("other.safetensors"), file);
  dir.Write("broken.safetensors", "no header");
  for (int time = 0; time < 2; ++time) {
    tests::ExpectError(ErrorKind::kInput, {"broken.safetensors"},
                       [&] { checkpoint.Beside("broken.safetensors"); });
  }
}

TEST(Fingerprint, DoesNotDependOnSharding) {
  const tests::TempDir dir;
  WriteSharded(dir);
  const std::string sharded = Checkpoint::Open(dir.path()).Fingerprint();
  EXPECT_EQ(sharded, FingerprintOf({kA, kB, kC}));
  EXPECT_EQ(sharded.size(), 32u);
  EXPECT_EQ(sharded.find_first_not_of("0123456789abcdef"), std::string::npos);
}

// Fixed for ever: activation dumps and split checkpoints carry it.
TEST(Fingerprint, IsTheSameInEveryVersion) {
  EXPECT_EQ(FingerprintOf({kA, kB, kC}), "af38495f0af740308179205f11eb30a9");
}

TEST(Fingerprint, DependsOnEverythingElse) {
  const std::string original = FingerprintOf({kA, kB});
  Tensor renamed = kB, reshaped = kB, retyped = kB, changed = kB;
  renamed.info.name = "bb";
  reshaped.info.shape = {3, 1};
  retyped.info.dtype = DType::kI8;
  changed.bytes = "bbc";
  for (const Tensor& other : {renamed, reshaped, retyped, changed}) {
    EXPECT_NE(FingerprintOf({kA, other}), original);
  }
  EXPECT_NE(FingerprintOf({kA}), original);
  EXPECT_NE(FingerprintOf({}), original);
}

class Recorder final : public Progress {
 public:
  void Section(std::string_view) override {}
  void Begin(std::string_view, uint64_t total, std::string_view) override { total_ = total; }
  void Advance(uint64_t num_units) override {
    done_ += num_units;
    if (done_ > limit_) throw Error(ErrorKind::kInterrupted, "stop");
  }
  void End(std::string_view) override { ended_ = true; }

  uint64_t total_ = 0, done_ = 0, limit_ = ~uint64_t{0};
  bool ended_ = false;
};

TEST(Fingerprint, ReportsProgressAndStops) {
  const tests::TempDir dir;
  const Tensor large = {{"large", DType::kU8, {20'000'000}}, std::string(20'000'000, 'x')};
  WriteFile(dir / "model.safetensors", {kA, kB, large});
  const Checkpoint checkpoint = Checkpoint::Open(dir.path());
  Recorder interrupted;
  interrupted.limit_ = 100;
  tests::ExpectError(ErrorKind::kInterrupted, {"stop"},
                     [&] { checkpoint.Fingerprint(interrupted); });
  EXPECT_LT(interrupted.done_, checkpoint.TotalBytes());

  Recorder recorder;
  checkpoint.Fingerprint(recorder);
  EXPECT_EQ(recorder.total_, checkpoint.TotalBytes());
  EXPECT_EQ(recorder.done_, checkpoint.TotalBytes());
  EXPECT_TRUE(recorder.ended_);
}

TEST(Fingerprint, IsComputedOnceForACheckpointAndItsCopies) {
  const tests::TempDir dir;
  WriteFile(dir / "model.safetensors", {kA, kB});
  const Checkpoint checkpoint = Checkpoint::Open(dir.path());
  const Checkpoint copy = checkpoint;
  const std::string fingerprint = copy.Fingerprint();
  Recorder again;
  EXPECT_EQ(checkpoint.Fingerprint(again), fingerprint);
  EXPECT_EQ(again.done_, 0u);
  Recorder opened_again;
  EXPECT_EQ(Checkpoint::Open(dir.path()).Fingerprint(opened_again), fingerprint);
  EXPECT_EQ(opened_again.done_, checkpoint.TotalBytes());
}

}  // namespace
}  // namespace moefy::io
