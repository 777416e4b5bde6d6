// Measures what the machine can do at best, in the run that is compared with it.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <vector>

namespace moefy::bench {

struct Roofline {
  double bandwidth_gigabytes = 0;  // reading memory, per second
  double peak_gflops = 0;          // LibTorch's product of two 1024 x 1024 matrices, per second

  // The time to move so many bytes or to compute so many FLOPs, whichever is longer.
  double Milliseconds(double bytes, double flops) const {
    return std::max(bytes / bandwidth_gigabytes, flops / peak_gflops) / 1e6;
  }
};

// Takes the best of five measurements with the threads that LibTorch is set to. `arrays` are F32,
// contiguous and together much larger than the last-level cache.
Roofline MeasureRoofline(const std::vector<at::Tensor>& arrays);

// What LibTorch does of that product now, beside whatever else runs: the median over at least so
// many seconds, after one product that is not counted.
double SustainedGflops(double seconds);

}  // namespace moefy::bench
