#include "bench/roofline.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "base/stopwatch.h"

namespace moefy::bench {
namespace {

constexpr int kRepetitions = 5;

// Every cache line of every array, read once by all threads, and asked for early, as kernels that
// read weights do: without that a loop got 14 GB/s where it gets 18.
double MeasureBandwidth(const std::vector<at::Tensor>& arrays) {
  constexpr int64_t kLineFloats = 16, kLineWords = 8, kLinesAhead = 64;
  int64_t bytes = 0;
  for (const at::Tensor& array : arrays) bytes += array.numel() / kLineFloats * 64;
  const auto read = [&] {
    for (const at::Tensor& array : arrays) {
      const auto* words = reinterpret_cast<const uint64_t*>(array.data_ptr<float>());
      at::parallel_for(0, array.numel() / kLineFloats, 4096, [&](int64_t begin, int64_t end) {
        uint64_t sums[kLineWords] = {};
        for (int64_t line = begin; line < end; ++line) {
          __builtin_prefetch(words + std::min(line + kLinesAhead, end - 1) * kLineWords);
          for (int i = 0; i < kLineWords; ++i) sums[i] ^= words[line * kLineWords + i];
        }
        volatile uint64_t result = 0;  // so that the loop is not removed
        for (const uint64_t sum : sums) result = result ^ sum;
      });
    }
  };
  double best_ms = 1e30;
  for (int i = 0; i < kRepetitions; ++i) best_ms = std::min(best_ms, Milliseconds(read));
  return static_cast<double>(bytes) / best_ms / 1e6;
}

constexpr int64_t kProductSize = 1024;  // of the matrices whose product is measured
constexpr double kProductFlops = 2.0 * kProductSize * kProductSize * kProductSize;

double MeasurePeak() {
  const at::Tensor a = at::ones({kProductSize, kProductSize}),
                   b = at::ones({kProductSize, kProductSize});
  at::Tensor c = at::mm(a, b);
  double best_ms = 1e30;
  for (int i = 0; i < kRepetitions; ++i) {
    best_ms = std::min(best_ms, Milliseconds([&] { at::mm_out(c, a, b); }));
  }
  return kProductFlops / best_ms / 1e6;
}

}  // namespace

double SustainedGflops(double seconds) {
  const at::Tensor a = at::ones({kProductSize, kProductSize}),
                   b = at::ones({kProductSize, kProductSize});
  at::Tensor c = at::mm(a, b);
  const Stopwatch stopwatch;
  std::vector<double> times;
  while (times.size() < kRepetitions || stopwatch.Seconds() < seconds) {
    times.push_back(Milliseconds([&] { at::mm_out(c, a, b); }));
  }
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return kProductFlops / *middle / 1e6;
}

Roofline MeasureRoofline(const std::vector<at::Tensor>& arrays) {
  return {MeasureBandwidth(arrays), MeasurePeak()};
}

}  // namespace moefy::bench
