// Every recorded case of the shared data, all outputs and generated texts: what the committed pico
// models are a selection of. Skipped without the shared data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "golden.h"
#include "moefy/base/error.h"
#include "recorded_texts.h"
#include "support/shared_data.h"

namespace moefy {
namespace {

namespace fs = std::filesystem;

// Directories with models, of transformers 4 and 5: "goldens5/family/case".
std::vector<std::string> Cases() {
  std::vector<std::string> cases;
  for (const std::string release : {"goldens", "goldens5"}) {
    const fs::path root = tests::SharedData() / release;
    if (!fs::is_directory(root)) continue;
    for (const auto& family : fs::directory_iterator(root)) {
      const std::string name = family.path().filename().string();
      if (!family.is_directory() || name == "tokenizers") continue;
      for (const auto& entry : fs::directory_iterator(family.path())) {
        cases.push_back(release + "/" + name + "/" + entry.path().filename().string());
      }
    }
  }
  std::ranges::sort(cases);
  return cases;
}

class SharedModels : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SharedModels);

TEST_P(SharedModels, EqualTheReference) {
  const fs::path directory = tests::SharedData() / GetParam();
  const io::Checkpoint checkpoint = io::Checkpoint::Open(directory);
  std::vector<std::string> warnings;
  model::Transformer transformer = model::LoadTransformer(checkpoint, &warnings);
  const bool legacy = GetParam().find("legacy") != std::string::npos;
  EXPECT_EQ(warnings.empty(), !legacy) << testing::PrintToString(warnings);
  int num_files = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    if (name.starts_with("golden") && name.ends_with(".safetensors")) {
      std::printf(" %s\n", name.c_str());
      EXPECT_GT(tests::CompareWithGolden(transformer, checkpoint, entry.path()), 0);
      ++num_files;
    } else if (name == "generate.json" || name == "generate_forced.json") {
      EXPECT_GT(tests::CompareWithRecordedTexts(transformer, entry.path()), 0);
      ++num_files;
    }
  }
  EXPECT_GT(num_files, 0);
}

INSTANTIATE_TEST_SUITE_P(Goldens, SharedModels, testing::ValuesIn(Cases()), [](const auto& name) {
  std::string text = name.param;
  std::ranges::replace_if(
      text, [](char c) { return !std::isalnum(c); }, '_');
  return text;
});

TEST(SharedModelsData, IsThere) {
  if (Cases().empty()) GTEST_SKIP() << "no shared data at " << tests::SharedData();
}

}  // namespace
}  // namespace moefy
