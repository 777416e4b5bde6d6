#include "pipeline/run_tensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "io/safetensors.h"
#include "support/expect_error.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::pipeline {
namespace {

std::vector<float> Floats(const io::SafetensorsFile& file, const char* name) {
  const auto bytes = file.Bytes(*file.Find(name));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

RunOptions Options(const std::filesystem::path& model, const std::filesystem::path& out) {
  RunOptions options;
  options.model = model.string();
  options.tensors = (tests::Pico("t5-relu-tied") / "golden.safetensors").string();
  options.out = out.string();
  return options;
}

TEST(RunTensors, ASplitModelComputesWhatItsSourceDoes) {
  const tests::TempDir dir;
  tests::SplitInto(tests::Pico("t5-relu-tied"), dir / "moe", /*num_experts=*/14);
  RunTensors(Options(tests::Pico("t5-relu-tied"), dir / "dense.safetensors"), IfExists::kRefuse,
             SilentProgress());
  RunTensors(Options(dir / "moe", dir / "moe.safetensors"), IfExists::kRefuse, SilentProgress());
  RunOptions all = Options(dir / "moe", dir / "all.safetensors");
  all.selection = "similarity";
  RunTensors(all, IfExists::kRefuse, SilentProgress());
  RunOptions few = all;
  few.out = (dir / "few.safetensors").string();
  few.ffn_ratio = 0.2;
  RunTensors(few, IfExists::kRefuse, SilentProgress());

  const auto want = Floats(io::SafetensorsFile(dir / "dense.safetensors"), "logits");
  const auto largest_difference = [&](const char* name) {
    const auto got = Floats(io::SafetensorsFile(dir / name), "logits");
    EXPECT_EQ(got.size(), want.size());
    float largest = 0;
    for (size_t i = 0; i < want.size(); ++i)
      largest = std::max(largest, std::abs(got[i] - want[i]));
    return largest;
  };
  EXPECT_LT(largest_difference("moe.safetensors"), 1e-4);
  EXPECT_LT(largest_difference("all.safetensors"), 1e-4);
  EXPECT_GT(largest_difference("few.safetensors"), 1e-2);  // experts were really left out
}

// Dense, split, and sparse with all experts: one function, whatever the family's FFNs look like.
TEST(RunTensors, EveryFamilyComputesTheSameDenseSplitAndSparse) {
  int num_models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(tests::TestData() / "pico")) {
    SCOPED_TRACE(entry.path().filename().string());
    const auto left_padded = entry.path() / "golden_leftpad.safetensors";
    const auto golden =
        std::filesystem::exists(left_padded) ? left_padded : entry.path() / "golden.safetensors";
    if (!std::filesystem::exists(golden)) continue;  // there for its weights' format alone
    ++num_models;
    const tests::TempDir dir;
    tests::SplitInto(entry.path(), dir / "moe", /*num_experts=*/2);
    const auto run = [&](const std::filesystem::path& model, const char* selection,
                         const char* out) {
      RunOptions options = Options(model, dir / out);
      options.tensors = golden.string();
      options.hidden_states = true;
      options.ffn_taps = true;
      options.selection = selection;
      RunTensors(options, IfExists::kRefuse, SilentProgress());
      return io::SafetensorsFile(dir / out);
    };
    const io::SafetensorsFile dense = run(entry.path(), "", "dense.safetensors");
    for (const char* selection : {"", "oracle"}) {
      const io::SafetensorsFile other =
          run(dir / "moe", selection, StrCat("moe", selection, ".safetensors").c_str());
      ASSERT_EQ(other.tensors().size(), dense.tensors().size());
      for (const io::TensorInfo& info : dense.tensors()) {
        const bool inside = info.name.ends_with(".act") || info.name.ends_with(".up") ||
                            info.name.ends_with(".down_in");
        if (inside) continue;  // in another order
        const auto want = Floats(dense, info.name.c_str());
        const auto got = Floats(other, info.name.c_str());
        ASSERT_EQ(got.size(), want.size());
        for (size_t i = 0; i < want.size(); ++i) {
          ASSERT_NEAR(got[i], want[i], 1e-4 + 1e-4 * std::abs(want[i])) << info.name << " " << i;
        }
      }
    }
  }
  EXPECT_GE(num_models, 22);
}

TEST(RunTensors, BadInputsAreRefused) {
  const tests::TempDir dir;
  RunOptions options = Options(tests::Pico("t5-relu-tied"), dir / "out.safetensors");
  options.tensors = (tests::Pico("t5-relu-tied") / "model.safetensors").string();
  tests::ExpectError(ErrorKind::kInput, {"no tensor 'input_ids'"},
                     [&] { RunTensors(options, IfExists::kRefuse, SilentProgress()); });
  options = Options(tests::Pico("t5-relu-tied"), dir / "out.safetensors");
  options.selection = "mlp";
  tests::ExpectError(ErrorKind::kInput, {"moefy.json"},
                     [&] { RunTensors(options, IfExists::kRefuse, SilentProgress()); });
  EXPECT_TRUE(dir.Names().empty());
}

}  // namespace
}  // namespace moefy::pipeline
