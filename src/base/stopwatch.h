// Time that has passed, in milliseconds.
#pragma once

#include <chrono>

namespace moefy {

class Stopwatch {
 public:
  double Milliseconds() const {
    return std::chrono::duration<double, std::milli>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// How long `work` takes.
template <typename Work>
double Milliseconds(const Work& work) {
  const Stopwatch stopwatch;
  work();
  return stopwatch.Milliseconds();
}

}  // namespace moefy
