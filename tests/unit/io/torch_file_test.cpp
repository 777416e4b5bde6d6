// What tests/support/torch_save.py wrote, tensor by tensor. Bad files: tests/format.
#include "io/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "io/rewrite_checkpoint.h"
#include "io/tensor_file.h"
#include "io/torch_contents.h"
#include "moefy/io/checkpoint.h"
#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "support/torch_bytes.h"

namespace moefy::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::filesystem::path Sample(const std::string& name) {
  return tests::TestData() / "torch" / (name + ".pt");
}

template <typename T>
std::vector<T> Values(const TensorFile& file, const char* name) {
  const TensorInfo* info = file.Find(name);
  if (!info) return {};
  const auto bytes = file.Bytes(*info);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// The same four tensors in every form.
class TorchFileForms : public testing::TestWithParam<const char*> {};

TEST_P(TorchFileForms, HoldsTheSameTensors) {
  const TorchFile file(Sample(GetParam()));
  ASSERT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.Find("a")->dtype, DType::kF32);
  EXPECT_THAT(file.Find("a")->shape, ElementsAre(2, 3));
  EXPECT_THAT(Values<float>(file, "a"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(file.Find("b")->dtype, DType::kI64);
  EXPECT_THAT(Values<int64_t>(file, "b"), ElementsAre(-1, 7));
  EXPECT_EQ(file.Find("scalar")->dtype, DType::kBF16);
  EXPECT_TRUE(file.Find("scalar")->shape.empty());
  EXPECT_THAT(Values<uint16_t>(file, "scalar"), ElementsAre(0x3f80));
  EXPECT_THAT(file.Find("none")->shape, ElementsAre(0, 3));
  EXPECT_TRUE(file.Bytes(*file.Find("none")).empty());
  EXPECT_EQ(file.Find("c"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Samples, TorchFileForms,
                         testing::Values("plain", "plain.protocol4", "state_dict", "parameters",
                                         "nested", "legacy"),
                         [](const auto& row) { return ReplaceAll(row.param, ".", "_"); });

class TorchFileViews : public testing::TestWithParam<const char*> {};

TEST_P(TorchFileViews, AreTensorsInRowMajorOrder) {
  const TorchFile file(Sample(GetParam()));
  EXPECT_THAT(Values<float>(file, "all"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(Values<float>(file, "transposed"), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(Values<float>(file, "tail"), ElementsAre(4, 5));
  EXPECT_THAT(Values<float>(file, "column"), ElementsAre(1, 4));
  EXPECT_THAT(Values<float>(file, "repeated"), ElementsAre(0, 1, 2, 0, 1, 2));
  // Asked again, the same copy.
  EXPECT_EQ(file.Bytes(*file.Find("transposed")).data(),
            file.Bytes(*file.Find("transposed")).data());
}

INSTANTIATE_TEST_SUITE_P(Samples, TorchFileViews, testing::Values("views", "legacy.views"),
                         [](const auto& row) { return ReplaceAll(row.param, ".", "_"); });

TEST(TorchFile, MayBeOneTensor) {
  const TorchFile file(Sample("lone"));
  EXPECT_THAT(Values<float>(file, "tensor"), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(TorchFile, SaysWhatItLeftOut) {
  EXPECT_THAT(TorchFile(Sample("nested")).Warnings(),
              ElementsAre("the tensors are those of 'model.module'; left out: 'epoch', 'lr', "
                          "'optimizer'"));
  EXPECT_TRUE(TorchFile(Sample("state_dict")).Warnings().empty());
}

TEST(TorchFile, ReadsEveryDType) {
  using namespace tests::pickled;  // NOLINT
  const std::pair<const char*, DType> kTypes[] = {
      {"BoolStorage", DType::kBool},       {"ByteStorage", DType::kU8},
      {"CharStorage", DType::kI8},         {"ShortStorage", DType::kI16},
      {"IntStorage", DType::kI32},         {"LongStorage", DType::kI64},
      {"HalfStorage", DType::kF16},        {"BFloat16Storage", DType::kBF16},
      {"FloatStorage", DType::kF32},       {"DoubleStorage", DType::kF64},
      {"ComplexFloatStorage", DType::kC64}};
  const tests::TempDir dir;
  for (const auto& [type, dtype] : kTypes) {
    const auto size = static_cast<size_t>(DTypeBits(dtype)) / 8;
    const TorchFile file(dir.Write(
        "t.pt", tests::TorchBytes(Whole(Dict({Text("t"), Tensor(Storage("0", 2, type), {2}, {1})})),
                                  std::string(2 * size, 'x'))));
    EXPECT_EQ(file.Find("t")->dtype, dtype) << type;
    EXPECT_EQ(file.Find("t")->num_bytes(), 2 * size) << type;
  }
}

TEST(TorchFile, ReadsUntypedStoragesOfNewerTorch) {
  using namespace tests::pickled;  // NOLINT
  const std::string storage = Tuple({Text("storage"), Global("torch.storage", "UntypedStorage"),
                                     Text("0"), Text("cpu"), Int(3)}) +
                              "Q";
  const std::string tensor =
      Call(Global("torch._utils", "_rebuild_tensor_v3"),
           {storage, Int(1), Ints({2}), Ints({1}), "\x89",
            Call(Global("collections", "OrderedDict"), {}), Global("torch", "float8_e4m3fn"), "}"});
  const tests::TempDir dir;
  const TorchFile file(
      dir.Write("t.pt", tests::TorchBytes(Whole(Dict({Text("t"), tensor})), "abc")));
  EXPECT_EQ(file.Find("t")->dtype, DType::kF8E4M3);
  EXPECT_EQ(tests::AsString(file.Bytes(*file.Find("t"))), "bc");
}

TEST(TorchFile, TellsTorchScriptApart) {
  const tests::TempDir dir;
  EXPECT_TRUE(IsTorchScript(
      dir.Write("s.pt", tests::ZipBytes({{"s/data.pkl", "x"}, {"s/constants.pkl", "x"}}))));
  EXPECT_FALSE(IsTorchScript(Sample("plain")));
  EXPECT_FALSE(IsTorchScript(Sample("legacy")));
  EXPECT_FALSE(IsTorchScript(dir / "nowhere.pt"));
}

// --- as a checkpoint ---

TEST(TorchCheckpoint, BecomesSafetensorsWhenRewritten) {
  const tests::TempDir dir;
  const Checkpoint source = Checkpoint::Open(Sample("views"));
  EXPECT_FALSE(source.is_safetensors());
  RewriteCheckpoint(source, dir.path(), [](const TensorInfo&, auto bytes, auto&) { return bytes; });
  EXPECT_THAT(dir.Names(), ElementsAre("model.safetensors"));
  const Checkpoint written = Checkpoint::Open(dir.path());
  EXPECT_TRUE(written.is_safetensors());
  EXPECT_EQ(written.Fingerprint(), source.Fingerprint());
  EXPECT_THAT(Values<float>(*written.files()[0], "transposed"), ElementsAre(0, 3, 1, 4, 2, 5));
}

TEST(TorchCheckpoint, ShardsBecomeShards) {
  const tests::TempDir dir;
  const auto from = dir.Make("from"), to = dir.Make("to");
  std::filesystem::copy_file(Sample("plain"), from / "pytorch_model-00001-of-00002.bin");
  std::filesystem::copy_file(Sample("lone"), from / "pytorch_model-00002-of-00002.bin");
  dir.Write("from/pytorch_model.bin.index.json",
            R"({"weight_map":{"a":"pytorch_model-00001-of-00002.bin",
                "b":"pytorch_model-00001-of-00002.bin","none":"pytorch_model-00001-of-00002.bin",
                "scalar":"pytorch_model-00001-of-00002.bin",
                "tensor":"pytorch_model-00002-of-00002.bin"}})");
  const Checkpoint source = Checkpoint::Open(from);
  EXPECT_THAT(source.TensorNames(), ElementsAre("a", "b", "none", "scalar", "tensor"));
  EXPECT_TRUE(source.warnings().empty());
  RewriteCheckpoint(source, to, [](const TensorInfo&, auto bytes, auto&) { return bytes; });
  const Checkpoint written = Checkpoint::Open(to);
  EXPECT_EQ(written.index_name(), "model.safetensors.index.json");
  EXPECT_EQ(written.files()[1]->path().filename(), "model-00002-of-00002.safetensors");
  EXPECT_TRUE(written.warnings().empty());
  EXPECT_EQ(written.Fingerprint(), source.Fingerprint());
}

TEST(TorchCheckpoint, SafetensorsAreUsedWhereBothAre) {
  const tests::TempDir dir;
  std::filesystem::copy_file(Sample("plain"), dir / "pytorch_model.bin");
  EXPECT_EQ(Checkpoint::Open(dir.path()).TensorNames().size(), 4u);
  dir.Write(
      "model.safetensors",
      tests::SafetensorsBytes(R"({"s":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"));
  EXPECT_THAT(Checkpoint::Open(dir.path()).TensorNames(), ElementsAre("s"));
}

TEST(TorchCheckpoint, WarningsNameTheFile) {
  const Checkpoint checkpoint = Checkpoint::Open(Sample("nested"));
  ASSERT_EQ(checkpoint.warnings().size(), 1u);
  EXPECT_THAT(checkpoint.warnings()[0], HasSubstr("nested.pt: the tensors are those of"));
}

// Files of torch.save itself, against the same tensors in safetensors, bit for bit.
void ExpectTwins(const std::filesystem::path& torch, const std::filesystem::path& safetensors) {
  const Checkpoint got = Checkpoint::Open(torch), want = Checkpoint::Open(safetensors);
  size_t compared = 0;
  for (const std::string& name : want.TensorNames()) {
    ASSERT_TRUE(got.Find(name)) << torch << ": " << name;
    EXPECT_EQ(got.Get(name).dtype, want.Get(name).dtype) << name;
    EXPECT_EQ(got.Get(name).shape, want.Get(name).shape) << name;
    EXPECT_TRUE(std::ranges::equal(got.Bytes(name), want.Bytes(name))) << torch << ": " << name;
    ++compared;
  }
  EXPECT_GT(compared, 10u) << torch;
}

TEST(TorchParity, ThePicoModelEqualsItsTwin) {
  const auto pico = tests::TestData() / "pico/opt-fp16";
  ExpectTwins(pico / "pytorch_model.bin", pico / "model.safetensors");
}

TEST(TorchParity, RecordedModelsEqualTheirTwins) {
  const auto goldens = tests::SharedData() / "goldens";
  MOEFY_SKIP_WITHOUT(goldens);
  size_t pairs = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(goldens)) {
    const auto twin = entry.path().parent_path() / "model.safetensors";
    if (entry.path().filename() != "pytorch_model.bin" || !std::filesystem::exists(twin)) continue;
    ExpectTwins(entry.path(), twin);
    ++pairs;
  }
  EXPECT_GE(pairs, 5u);
  ExpectTwins(goldens / "variants/opt-sharded-bin-2", goldens / "opt/350m-like-postln-proj");
}

}  // namespace
}  // namespace moefy::io
