// Random numbers that are the same on every machine and with every standard library (the
// distributions of <random> are not). Method: SplitMix64. One owner at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace moefy {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // A number below `limit`. The bias of the remainder is of the order of limit / 2^64.
  size_t Below(size_t limit) { return static_cast<size_t>(Next() % limit); }
  bool Chance(int percent) { return Below(100) < static_cast<size_t>(percent); }

  template <typename T, size_t kSize>
  const T& Pick(const std::array<T, kSize>& choices) {
    return choices[Below(kSize)];
  }
  template <typename T>
  void Shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[Below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace moefy
