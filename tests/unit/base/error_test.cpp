#include "moefy/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "support/expect_error.h"

namespace moefy {
namespace {

TEST(Error, PartsBecomeOneMessage) {
  const Error error = InputError("tensor ", Quoted("a"), " has ", 3, " elements");
  EXPECT_STREQ(error.what(), "tensor 'a' has 3 elements");
  EXPECT_EQ(error.kind(), ErrorKind::kInput);
  EXPECT_EQ(UsageError("x").kind(), ErrorKind::kUsage);
}

TEST(Error, SystemErrorsEndInTheSystemsWords) {
  EXPECT_STREQ(SystemError(ENOSPC, "out").what(), "out: No space left on device");
  EXPECT_STREQ(SystemError(0, "out").what(), "out");
}

TEST(Error, ContextGoesInFront) {
  tests::ExpectError(ErrorKind::kUsage, {"outer: inner: wrong"}, [] {
    WithContext("outer", [] { WithContext("inner", [] { throw UsageError("wrong"); }); });
  });
  EXPECT_EQ(WithContext("unused", [] { return 7; }), 7);
}

TEST(Error, AFailedCheckIsABug) {
  tests::ExpectError(ErrorKind::kBug, {"1 == 2", "error_test.cpp"}, [] { MOEFY_CHECK(1 == 2); });
  EXPECT_NO_THROW(MOEFY_CHECK(1 == 1));
}

}  // namespace
}  // namespace moefy
