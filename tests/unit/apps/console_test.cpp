#include "console.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace moefy::apps {
namespace {

using std::chrono::milliseconds;

// What a log gets of three of four units, without a terminal.
std::string Log(bool quiet, milliseconds interval, uint64_t total) {
  testing::internal::CaptureStderr();
  ConsoleProgress progress(quiet, interval);
  progress.Begin("training routers", total, "FFNs");
  for (int i = 0; i < 3; ++i) {
    ::usleep(2000);
    progress.Advance(1);
  }
  progress.Advance(0);  // goes on
  progress.End("done");
  return testing::internal::GetCapturedStderr();
}

TEST(ConsoleProgress, LogsSayHowFarItIs) {
  const std::string log = Log(false, milliseconds(0), 4);
  EXPECT_NE(log.find("  training routers: 1/4 FFNs, "), std::string::npos) << log;
  EXPECT_NE(log.find("/s, "), std::string::npos) << log;
  EXPECT_NE(log.find(" left\n  training routers: 3/4 FFNs, "), std::string::npos) << log;
  EXPECT_EQ(log.find('\r'), std::string::npos) << log;
  const std::string unknown = Log(false, milliseconds(0), 0);
  EXPECT_NE(unknown.find(" so far\n"), std::string::npos) << unknown;
}

TEST(ConsoleProgress, ShortStepsAreOneLine) {
  const std::string log = Log(false, std::chrono::hours(1), 4);
  EXPECT_TRUE(log.starts_with("  training routers: done, ")) << log;
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
}

TEST(ConsoleProgress, QuietIsQuiet) { EXPECT_EQ(Log(true, milliseconds(0), 4), ""); }

}  // namespace
}  // namespace moefy::apps
