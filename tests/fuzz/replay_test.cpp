// Every file of the corpora through its target, under every preset: seeds, bombs, and inputs that
// once crashed. None may cost more than 64 MB. MOEFY_FUZZ_MODEL chooses the targets of the layers
// above io and text.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <random>

#include "fuzz/targets.h"
#include "support/temp_dir.h"

namespace moefy::fuzz {
namespace {

#ifdef MOEFY_FUZZ_MODEL
constexpr Target kTargets[] = {{"Config", &Config},
                               {"DumpManifest", &DumpManifest},
                               {"MoeManifest", &MoeManifest},
                               {"Recipe", &Recipe}};
#else
constexpr Target kTargets[] = {{"Safetensors", &Safetensors}, {"ShardIndex", &ShardIndex},
                               {"Pickle", &Pickle},           {"Zip", &Zip},
                               {"TorchFile", &TorchFile},     {"Tokenizer", &Tokenizer},
                               {"DataRows", &DataRows}};
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

// A poor man's fuzzer, the same every time: bytes changed, left out, put in, and pieces doubled.
std::string Changed(std::string bytes, std::mt19937& random) {
  static const std::string kTelling("\0\xff{}[],:\"\\-0129.eEtn", 20);
  const auto below = [&](size_t limit) { return random() % std::max<size_t>(limit, 1); };
  for (size_t i = 0, count = 1 + below(4); i < count; ++i) {
    const size_t at = below(bytes.size());
    const char telling = kTelling[below(kTelling.size())];
    switch (below(5)) {
      case 0:
        bytes.insert(at, 1, telling);
        break;
      case 1:
        bytes.erase(at, 1 + below(8));
        break;
      case 2:
        bytes.insert(below(bytes.size()), bytes.substr(at, 1 + below(32)));
        break;
      case 3:
        bytes.resize(at);
        break;
      default:
        if (!bytes.empty()) bytes[at] = below(2) == 0 ? telling : static_cast<char>(random());
    }
  }
  return bytes;
}

TEST_P(FuzzReplay, NothingEscapesFromChangedFiles) {
  constexpr int kChanges = 2000;
  const auto corpus =
      std::filesystem::path(MOEFY_SOURCE_DIR) / "tests/fuzz/corpus" / GetParam().name;
  std::mt19937 random(1);
  for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
    const std::string bytes = tests::FileBytes(entry.path());
    if (bytes.size() > 4096) continue;
    for (int i = 0; i < kChanges; ++i) {
      const std::string changed = Changed(bytes, random);
      SCOPED_TRACE(entry.path().string() + ", change " + std::to_string(i));
      ASSERT_NO_THROW(GetParam().run(std::as_bytes(std::span(changed))));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzReplay, testing::ValuesIn(kTargets),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace moefy::fuzz
