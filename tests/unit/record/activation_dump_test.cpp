#include "record/dump_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/json.h"
#include "moefy/model/tensor_io.h"
#include "record/dump_rows.h"
#include "support/expect_error.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"

namespace moefy::record {
namespace {

using tests::ExpectError;
using tests::TempDir;

DumpInfo Info() { return {"t5", "0123456789abcdef0123456789abcdef", "sst2/train 2"}; }

void WriteSmallDump(const std::filesystem::path& directory) {
  DumpWriter writer(directory, Info(), {{"encoder.ffn.0", 0, 3}, {"decoder.ffn.0", 0, 3}}, 5);
  writer.Append(0, at::arange(12, at::kFloat).view({4, 3}));
  EXPECT_FALSE(writer.Full());
  writer.Append(0, at::full({4, 3}, 100.f));  // one more fits
  writer.Append(1, at::zeros({0, 3}));
  EXPECT_EQ(writer.Finish(), (std::vector<int64_t>{5, 0}));
}

TEST(ActivationDump, GivesBackWhatWasAppended) {
  const TempDir dir;
  WriteSmallDump(dir.path());
  const ActivationDump dump = ActivationDump::Open(dir.path());
  EXPECT_EQ(dump.info().corpus, "sst2/train 2");
  EXPECT_EQ(dump.info().model_fingerprint, Info().model_fingerprint);
  ASSERT_EQ(dump.ffns().size(), 2u);
  EXPECT_EQ(dump.GetFfn("decoder.ffn.0"), 1u);
  const at::Tensor want =
      at::cat({at::arange(12, at::kFloat).view({4, 3}), at::full({1, 3}, 100.f)});
  EXPECT_TRUE(at::equal(ReadRows(dump, 0, 0, 5), want));
  EXPECT_TRUE(at::equal(ReadRows(dump, 0, 2, 5), want.narrow(0, 2, 3)));
  EXPECT_EQ(ReadRows(dump, 1, 0, 0).sizes(), at::IntArrayRef({0, 3}));
}

TEST(ActivationDump, LargeDumpsAreSharded) {
  const TempDir dir;
  constexpr int64_t kHidden = 4096, kRows = 3000;  // 48 MB a batch; a shard holds 64
  DumpWriter writer(dir.path(), Info(), {{"ffn.0", 0, kHidden}}, 1 << 20);
  for (int i = 0; i < 3; ++i) writer.Append(0, at::full({kRows, kHidden}, static_cast<float>(i)));
  writer.Finish();
  EXPECT_THAT(dir.Names(), testing::ElementsAre("dump.json", "ffn.0-00000.safetensors",
                                                "ffn.0-00001.safetensors"));
  const ActivationDump dump = ActivationDump::Open(dir.path());
  const at::Tensor across = ReadRows(dump, 0, 2 * kRows - 1, 2 * kRows + 1);  // two shards
  EXPECT_EQ(across[0][0].item<float>(), 1);
  EXPECT_EQ(across[1][0].item<float>(), 2);
}

TEST(ActivationDump, LyingManifestsAreRefused) {
  struct Lie {
    const char* from;
    const char* to;
    std::initializer_list<std::string_view> fragments;
  };
  const Lie lies[] = {
      {"\"format\": 1", "\"format\": 2", {"format", "2", "reads format 1"}},
      {"\"tokens\": 5", "\"tokens\": 6", {"tokens", "6", "hold 5"}},
      {"\"hidden\": 3", "\"hidden\": 4", {"[tokens, 4]", "[5, 3]"}},
      {"encoder.ffn.0-00000.safetensors", "../x.safetensors", {"'../x.safetensors'", "plain"}},
      {"encoder.ffn.0-00000.safetensors", "gone.safetensors", {"gone.safetensors"}},
      {"\"family\"", "\"famly\"", {"family", "missing"}},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(lie.to);
    const TempDir dir;
    WriteSmallDump(dir.path());
    EXPECT_NO_THROW(ActivationDump::Open(dir.path()));
    std::string text = dir.Read("dump.json");
    ASSERT_NE(text.find(lie.from), std::string::npos);
    dir.Write("dump.json", text.replace(text.find(lie.from), std::string(lie.from).size(), lie.to));
    ExpectError(ErrorKind::kInput, lie.fragments, [&] { ActivationDump::Open(dir.path()); });
  }
}

// --- written by others ---

std::string NpyBytes(const std::string& shape, const std::vector<float>& values) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }\n";
  std::string bytes = std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(header.size()) + '\0';
  bytes += header;
  return bytes.append(reinterpret_cast<const char*>(values.data()), 4 * values.size());
}

model::FfnSpec Spec(const std::string& name, const std::string& w_in) {
  model::FfnSpec spec;
  spec.name = name;
  spec.w_in = w_in;
  return spec;
}

TEST(ActivationDump, ReadsOneFilePerFfnNamedAfterItsWIn) {
  const TempDir dir;
  dir.Write("layers.0.fc1.weight.npy", NpyBytes("(2, 3)", {0, 1, 2, 3, 4, 5}));
  dir.Write("layers.1.fc1.npy",
            NpyBytes("(2, 1, 3)", {0, 1, 2, 3, 4, 5}));  // [batch, tokens, hidden]
  std::filesystem::copy_file(tests::TestData() / "torch/lone.pt", dir / "layers.2.fc1.weight.pt");
  const TempDir other;
  WriteSmallDump(other.path());
  std::filesystem::rename(other / "encoder.ffn.0-00000.safetensors",
                          dir / "layers.3.fc1.weight.safetensors");
  const ActivationDump dump = ActivationDump::Open(dir.path());
  EXPECT_EQ(dump.info().model_fingerprint, "");
  ASSERT_EQ(dump.ffns().size(), 4u);
  for (const int i : {0, 1, 2}) {
    const std::string w_in = "layers." + std::to_string(i) + ".fc1.weight";
    const auto found = dump.Find(Spec("ffn.0", w_in));
    ASSERT_TRUE(found) << w_in;
    EXPECT_EQ(dump.ffns()[*found].hidden, 3);
    EXPECT_TRUE(at::equal(ReadRows(dump, *found, 0, 2), at::arange(6, at::kFloat).view({2, 3})));
  }
  EXPECT_EQ(dump.ffns()[*dump.Find(Spec("ffn.0", "layers.3.fc1.weight"))].tokens, 5);
  EXPECT_FALSE(dump.Find(Spec("ffn.0", "layers.4.fc1.weight")));
}

TEST(ActivationDump, RefusesFilesOfOthersThatAreNoInputs) {
  const auto refuse = [](const std::string& name, const std::string& bytes,
                         std::initializer_list<std::string_view> fragments) {
    const TempDir dir;
    dir.Write("good.npy", NpyBytes("(1, 2)", {1, 2}));
    EXPECT_NO_THROW(ActivationDump::Open(dir.path()));
    dir.Write(name, bytes);
    ExpectError(ErrorKind::kInput, fragments, [&] { ActivationDump::Open(dir.path()); });
  };
  refuse("a.npy", NpyBytes("(2,)", {1, 2}), {"a.npy", "[..., hidden]", "F32 [2]"});
  refuse("a.npy", NpyBytes("(2, 0)", {}), {"F32 [2, 0]"});
  refuse("a.pt", tests::FileBytes(tests::TestData() / "torch/plain.pt"),
         {"a.pt", "expected one tensor", "found 4"});
  refuse("a.safetensors", "x", {"a.safetensors"});
  const TempDir empty;
  ExpectError(ErrorKind::kInput, {"not an activation dump", "moefy record"},
              [&] { ActivationDump::Open(empty.path()); });
}

TEST(ActivationDump, NumbersThatAreNoneAreNeitherWrittenNorRead) {
  const TempDir dir;
  DumpWriter writer(dir.path(), Info(), {{"encoder.ffn.0", 0, 3}}, 100);
  writer.Append(0, at::ones({4, 3}));
  at::Tensor x = at::ones({4, 3});
  x[2][1] = std::numeric_limits<float>::quiet_NaN();
  ExpectError(ErrorKind::kInput, {"what enters 'encoder.ffn.0' is nan for token 6"},
              [&] { writer.Append(0, x); });
  // Recorded by others.
  const TempDir of_others;
  x[2][1] = -std::numeric_limits<float>::infinity();
  for (const io::DType dtype :
       {io::DType::kF32, io::DType::kF16, io::DType::kBF16, io::DType::kF64}) {
    const auto file = of_others / (std::string(io::DTypeName(dtype)) + ".safetensors");
    model::WriteTensors({{"ffn_input", x}}, file, dtype);
  }
  const ActivationDump dump = ActivationDump::Open(of_others.path());
  ASSERT_EQ(dump.ffns().size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(at::equal(ReadRows(dump, i, 0, 2), at::ones({2, 3})));
    ExpectError(ErrorKind::kInput, {dump.ffns()[i].name + ".safetensors", "is -inf for token 2"},
                [&] { ReadRows(dump, i, 1, 4); });
  }
}

TEST(ActivationDump, ManyFfnsHoldLessOfEach) {
  const TempDir dir;
  std::vector<DumpedFfn> ffns;
  for (int i = 0; i < 16; ++i) ffns.push_back({StrCat("ffn.", i), 0, 1024});
  DumpWriter writer(dir.path(), Info(), ffns, 1 << 20);
  for (int batch = 0; batch < 5; ++batch) writer.Append(0, at::ones({1024, 1024}));  // 4 MB each
  // 16 FFNs may hold 16 MB each.
  EXPECT_THAT(dir.Names(), testing::ElementsAre("ffn.0-00000.safetensors"));
  writer.Append(1, at::ones({4096, 1024}));
  EXPECT_EQ(dir.Names().size(), 2u);
}

}  // namespace
}  // namespace moefy::record
