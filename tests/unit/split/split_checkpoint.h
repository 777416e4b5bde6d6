// A copy of a pico model and the place of its split checkpoint.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "moefy/base/strings.h"
#include "support/split_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::split {

class SplitCheckpoint : public ::testing::Test {
 protected:
  SplitCheckpoint() : dense_(temp_.Make("dense")), moe_(temp_.path() / "moe") {
    tests::CopyModel(tests::Pico("t5-relu-tied"), dense_);
  }
  // Replaces `from`, which must occur, in a text file of the split checkpoint.
  void Edit(const std::string& file, const std::string& from, const std::string& to) {
    const std::string text = tests::FileBytes(moe_ / file);
    ASSERT_THAT(text, ::testing::HasSubstr(from));
    tests::WriteBytes(moe_ / file, ReplaceAll(text, from, to));
  }

  tests::TempDir temp_;
  std::filesystem::path dense_, moe_;
};

}  // namespace moefy::split
