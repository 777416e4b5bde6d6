#include "base/background.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <vector>

#include "support/expect_error.h"

namespace moefy {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLong{60'000};

TEST(Background, RunsTasksInTheirOrder) {
  std::vector<int> done;
  Background background;
  EXPECT_TRUE(background.WaitFor(kLong)) << "nothing to wait for";
  for (int i = 0; i < 100; ++i) background.Add([&done, i] { done.push_back(i); });
  EXPECT_TRUE(background.WaitFor(kLong));
  ASSERT_EQ(done.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[static_cast<size_t>(i)], i);
}

TEST(Background, TakesTasksWhileOneRuns) {
  std::promise<void> go_on;
  std::atomic<int> done = 0;
  Background background;
  background.Add([&] { go_on.get_future().wait(); });
  background.Add([&] { ++done; });
  EXPECT_FALSE(background.WaitFor(milliseconds(1)));
  EXPECT_EQ(done, 0);
  go_on.set_value();
  EXPECT_TRUE(background.WaitFor(kLong));
  EXPECT_EQ(done, 1);
}

TEST(Background, TheFirstFailureIsTheLastTask) {
  std::atomic<int> done = 0;
  Background background;
  std::promise<void> go_on;
  background.Add([&] {
    go_on.get_future().wait();
    throw InputError("it does not fit");
  });
  background.Add([&] { ++done; });
  go_on.set_value();
  tests::ExpectError(ErrorKind::kInput, {"it does not fit"}, [&] { background.WaitFor(kLong); });
  tests::ExpectError(ErrorKind::kInput, {"it does not fit"}, [&] { background.Add([] {}); });
  EXPECT_EQ(done, 0);
}

TEST(Background, ItsEndDropsWhatHasNotBegun) {
  std::atomic<int> done = 0;
  std::promise<void> begun, go_on;
  {
    Background background;
    background.Add([&] {
      begun.set_value();
      go_on.get_future().wait();
      ++done;
    });
    for (int i = 0; i < 1000; ++i) background.Add([&] { done += 1000; });
    begun.get_future().wait();
    // The destructor waits for the first task, which goes on only now.
    background.Add([&] { done += 1000; });
    go_on.set_value();
    while (done == 0) std::this_thread::yield();
  }
  EXPECT_EQ(done % 1000, 1);
}

}  // namespace
}  // namespace moefy
