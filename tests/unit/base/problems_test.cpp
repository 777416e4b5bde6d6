#include "base/problems.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace moefy {
namespace {

TEST(Problems, AreNamedInOneMessage) {
  Problems problems;
  EXPECT_NO_THROW(problems.ThrowIfAny());
  problems.Add("tensor ", 1, " is missing");
  tests::ExpectError(ErrorKind::kInput, {"tensor 1 is missing"}, [&] { problems.ThrowIfAny(); });
  problems.Add("tensor 2 is missing");
  EXPECT_FALSE(problems.StopSearch());
  tests::ExpectError(ErrorKind::kUsage,
                     {"2 problems:\n  tensor 1 is missing\n  tensor 2 is missing"},
                     [&] { problems.ThrowIfAny(ErrorKind::kUsage); });
}

TEST(Problems, CountsWhatItDoesNotShow) {
  Problems problems;
  for (int i = 0; i < 25; ++i) problems.Add("line ", i);
  tests::ExpectError(ErrorKind::kInput, {"25 problems:", "line 19\n  and 5 more"},
                     [&] { problems.ThrowIfAny(); });
}

TEST(Problems, ASearchThatStopsSaysSo) {
  Problems problems(2);
  problems.Add("line 1");
  EXPECT_FALSE(problems.StopSearch());
  problems.Add("line 2");
  tests::ExpectError(ErrorKind::kInput, {"2 problems:"}, [&] { problems.ThrowIfAny(); });
  EXPECT_TRUE(problems.StopSearch());
  tests::ExpectError(ErrorKind::kInput, {"2 problems (the rest was not read):\n  line 1"},
                     [&] { problems.ThrowIfAny(); });
}

}  // namespace
}  // namespace moefy
