// Measures the time since it was made. Values, thread-safe.
#pragma once

#include <chrono>

namespace moefy {

class Stopwatch {
 public:
  double Seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  double Milliseconds() const { return 1e3 * Seconds(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// Measures how long `work` takes.
template <typename Work>
double Milliseconds(const Work& work) {
  const Stopwatch stopwatch;
  work();
  return stopwatch.Milliseconds();
}

}  // namespace moefy
