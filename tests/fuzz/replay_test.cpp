// Every file of the corpora through its target, under every preset: seeds, bombs, and inputs that
// once crashed. None may cost more than 64 MB. MOEFY_FUZZ_TORCH chooses the targets that need
// LibTorch.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "fuzz/targets.h"
#include "support/temp_dir.h"

namespace moefy::fuzz {
namespace {

#ifdef MOEFY_FUZZ_TORCH
constexpr Target kTargets[] = {{"Config", &Config},
                               {"DumpManifest", &DumpManifest},
                               {"MoeManifest", &MoeManifest},
                               {"Recipe", &Recipe}};
#else
constexpr Target kTargets[] = {{"Safetensors", &Safetensors}, {"ShardIndex", &ShardIndex},
                               {"Pickle", &Pickle},           {"Zip", &Zip},
                               {"TorchFile", &TorchFile},     {"Tokenizer", &Tokenizer}};
#endif

// The most memory that this process has ever used.
int64_t PeakKilobytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

class FuzzReplay : public testing::TestWithParam<Target> {};

TEST_P(FuzzReplay, NothingEscapes) {
  const auto corpus =
      std::filesystem::path(MOEFY_SOURCE_DIR) / "tests/fuzz/corpus" / GetParam().name;
  size_t num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    SCOPED_TRACE(entry.path().string());
    const std::string bytes = tests::FileBytes(entry.path());
    const int64_t before = PeakKilobytes();
    EXPECT_NO_THROW(GetParam().run(std::as_bytes(std::span(bytes))));
    EXPECT_LT(PeakKilobytes() - before, 64 << 10);
    ++num_files;
  }
  EXPECT_GT(num_files, 0u);
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzReplay, testing::ValuesIn(kTargets),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace moefy::fuzz
