// Many small conversions in one process: none may leave memory, open files, mappings or files
// behind. MOEFY_SOAK says how many; 60 without it.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "base/json.h"
#include "pipeline/check_recipe.h"
#include "pipeline/convert.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

struct Holdings {
  uint64_t heap_bytes = 0;
  int64_t open_files = 0, mapped_files = 0, files = 0;
};

int64_t NumEntries(const fs::path& directory) {
  return std::distance(fs::directory_iterator(directory), fs::directory_iterator());
}

// Mappings of files; those of memory follow the heap.
int64_t NumMappedFiles() {
  std::ifstream maps("/proc/self/maps");
  int64_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find('/') != std::string::npos;
  return count;
}

Holdings Look(const fs::path& directory) {
  const struct mallinfo2 heap = ::mallinfo2();
  return {heap.uordblks + heap.hblkhd, NumEntries("/proc/self/fd"), NumMappedFiles(),
          std::distance(fs::recursive_directory_iterator(directory),
                        fs::recursive_directory_iterator())};
}

// Everything but the experts' number follows from `i`, so that options and results differ.
Json SmallRecipe(int i) {
  const std::string task = (tests::Quickstart() / "sentiment.json").string();
  constexpr const char* kMethods[] = {"random", "kmeans"};
  return {
      {"model", (tests::Quickstart() / "model").string()},
      {"record", {{"task", {task}}, {"limit", 4}}},
      {"split", {{{"method", kMethods[i % 2]}, {"expert_size", 32}, {"seed", i}}}},
      {"route", {{"preset", "fast"}}},
      {"eval", {{"task", {task}}, {"limit", 2}, {"ffn_ratio", {0.5}}, {"selection", {"stored"}}}}};
}

TEST(Soak, ConversionsLeaveNothingBehind) {
  const char* wanted = std::getenv("MOEFY_SOAK");
  const int num_conversions = wanted ? std::atoi(wanted) : 60;
  constexpr int kFirst = 20;  // libraries fill their caches
  ASSERT_GT(num_conversions, kFirst);
  at::set_num_threads(1);
  const tests::TempDir dir;
  ::setenv("TMPDIR", dir.path().c_str(), 1);  // for temporary files of this process alone
  Holdings before;
  for (int i = 0; i < num_conversions; ++i) {
    if (i == kFirst) before = Look(dir.path());
    const auto recipe = pipeline::ParseRecipe(SmallRecipe(i), "recipe.json");
    const auto result = pipeline::Convert(pipeline::CheckRecipe(recipe), dir / "out", false,
                                          SilentProgress(), Json::object());
    ASSERT_EQ(result.reports.size(), 1u);
    fs::remove_all(dir / "out");
    if (i % 500 == 499) {
      std::cout << i + 1 << " conversions; heap " << Look(dir.path()).heap_bytes << " bytes\n"
                << std::flush;
    }
  }
  const Holdings after = Look(dir.path());
  std::cout << num_conversions << " conversions; heap " << before.heap_bytes << " -> "
            << after.heap_bytes << " bytes, open files " << before.open_files << " -> "
            << after.open_files << ", mapped " << before.mapped_files << " -> "
            << after.mapped_files << ", files " << before.files << " -> " << after.files << "\n";
  // What one conversion needs differs by a little from seed to seed.
  constexpr uint64_t kSlack = 64 << 10;
  EXPECT_LE(after.heap_bytes, before.heap_bytes + kSlack);
  EXPECT_EQ(after.open_files, before.open_files);
  EXPECT_EQ(after.mapped_files, before.mapped_files);
  EXPECT_EQ(after.files, before.files);
}

}  // namespace
}  // namespace moefy
