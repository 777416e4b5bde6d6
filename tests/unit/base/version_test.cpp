#include "moefy/base/version.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "moefy/base/strings.h"
#include "support/temp_dir.h"

namespace moefy {
namespace {

using ::testing::HasSubstr;

TEST(Version, IsTheProjects) {
  EXPECT_THAT(tests::FileBytes(std::filesystem::path(MOEFY_SOURCE_DIR) / "CMakeLists.txt"),
              HasSubstr(StrCat("project(moefy VERSION ", kVersion, " ")));
}

}  // namespace
}  // namespace moefy
