#include "base/memory_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "support/expect_error.h"

namespace moefy {
namespace {

// More than AddressSanitizer sets aside for itself, which counts.
constexpr uint64_t kLimit = 50'000'000'000'000;

TEST(MemoryLimit, SizesAreReadAsPeopleWriteThem) {
  EXPECT_EQ(ParseMemory("6GB", "max-memory"), 6'000'000'000u);
  EXPECT_EQ(ParseMemory("1.5 gb", "max-memory"), 1'500'000'000u);
  EXPECT_EQ(ParseMemory("300000000", "max-memory"), 300'000'000u);
  EXPECT_EQ(ParseMemory("250MB", "max-memory"), 250'000'000u);
  for (const char* wrong : {"", "GB", "6XB", "6 G B", "nan", "inf", "-1GB", "1e40"}) {
    tests::ExpectError(ErrorKind::kUsage, {"--max-memory is", wrong},
                       [&] { ParseMemory(wrong, "max-memory"); });
  }
  tests::ExpectError(ErrorKind::kUsage, {"100MB", "the program alone"},
                     [&] { ParseMemory("100MB", "max-memory"); });
}

// Puts the limit of this process back.
class KeepsLimit : public ::testing::Test {
 protected:
  KeepsLimit() { getrlimit(RLIMIT_DATA, &before_); }
  ~KeepsLimit() override { setrlimit(RLIMIT_DATA, &before_); }
  rlimit before_{};
};

TEST_F(KeepsLimit, WorkThatNeedsMoreIsRefusedWithItsSize) {
  RequireMemory(1'000'000'000'000, "work without a limit");
  LimitMemory(kLimit);
  RequireMemory(kLimit - 500'000'000, "small work");
  tests::ExpectError(ErrorKind::kSystem,
                     {"large work needs 60.0 TB", "it may take 50.0 TB", "--max-memory"},
                     [] { RequireMemory(60'000'000'000'000, "large work"); });
}

}  // namespace
}  // namespace moefy
