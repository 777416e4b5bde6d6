// Finds test data: what is committed, and what may lie beside the project.
#pragma once

#include <cstdlib>
#include <filesystem>

namespace moefy::tests {

// tests/data of this source tree.
inline std::filesystem::path TestData() { return MOEFY_TEST_DATA; }

// $MOEFY_SHARED, else ../shared of the source tree; may not exist.
inline std::filesystem::path SharedData() {
  const char* from_environment = std::getenv("MOEFY_SHARED");
  return from_environment ? std::filesystem::path(from_environment)
                          : std::filesystem::path(MOEFY_SOURCE_DIR) / ".." / "shared";
}

// $MOEFY_MODELS: directories of pretrained models; "" where it is not set.
inline std::filesystem::path PretrainedModels() {
  const char* from_environment = std::getenv("MOEFY_MODELS");
  return from_environment ? from_environment : "";
}

}  // namespace moefy::tests

// Skips the running test, saying why, when `path` is not there.
#define MOEFY_SKIP_WITHOUT(path)                                                                   \
  do {                                                                                             \
    if (!std::filesystem::exists(path)) {                                                          \
      GTEST_SKIP() << "skipped: needs " << (path) << " (MOEFY_SHARED and MOEFY_MODELS say where)"; \
    }                                                                                              \
  } while (false)
