#include "moefy/record/activation_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "moefy/base/json.h"
#include "support/expect_error.h"
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
  EXPECT_TRUE(at::equal(dump.ReadInputs(0, 0, 5), want));
  EXPECT_TRUE(at::equal(dump.ReadInputs(0, 2, 5), want.narrow(0, 2, 3)));
  EXPECT_EQ(dump.ReadInputs(1, 0, 0).sizes(), at::IntArrayRef({0, 3}));
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
  const at::Tensor across = dump.ReadInputs(0, 2 * kRows - 1, 2 * kRows + 1);  // two shards
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
  const TempDir empty;
  ExpectError(ErrorKind::kInput, {"not an activation dump", "moefy record"},
              [&] { ActivationDump::Open(empty.path()); });
}

}  // namespace
}  // namespace moefy::record
