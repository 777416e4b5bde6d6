#include "moefy/base/progress.h"

#include <gtest/gtest.h>

#include <csignal>

#include "support/expect_error.h"

namespace moefy {
namespace {

// Every ctest is a process of its own, but the flag must not leak when all run in one.
TEST(Progress, InterruptionReachesLongWork) {
  Progress& progress = SilentProgress();
  progress.Begin("work", 2, "steps");
  EXPECT_NO_THROW(progress.Advance(1));
  EXPECT_FALSE(InterruptRequested());
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        std::signal(SIGINT, [](int) { RequestInterrupt(); });
        std::raise(SIGINT);
        try {
          SilentProgress().Advance(1);
        } catch (const Error& error) {
          std::_Exit(error.kind() == ErrorKind::kInterrupted && InterruptRequested() ? 7 : 8);
        }
        std::_Exit(9);
      },
      testing::ExitedWithCode(7), "");
  EXPECT_NO_THROW(progress.Advance(1));
  progress.End("");
}

}  // namespace
}  // namespace moefy
