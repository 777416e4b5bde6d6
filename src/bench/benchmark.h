// Measures how fast the sparse FFN is against LibTorch's dense one, on random weights of a named or
// given shape, in one run. Thread-safety: one benchmark at a time (it sets the process's threads).
//
// What keeps the comparison honest: the weights of several layers take turns, together at least
// `rotation` times the last-level cache, so that nothing is warm that would not be in a model;
// every repetition has fresh inputs; dense and sparse alternate; experts are chosen by a router of
// random weights. With uniform routing each token chooses differently, the worst case for grouping.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/benchmark_shapes.h"
#include "moefy/base/progress.h"
#include "runtime/weight_format.h"

namespace moefy::record {
class ActivationDump;
}
namespace moefy::split {
class MoeCheckpoint;
}

namespace moefy::bench {

// How alike the tokens of a call are, which decides how many experts they share.
enum class Routing {
  kUniform,   // nothing: inputs are independent
  kSkewed,    // inputs share a direction, as far as those of a trained model did
  kRecorded,  // the routers of a split checkpoint, on inputs recorded from it
};

struct BenchmarkOptions {
  BenchmarkShape shape;
  Routing routing = Routing::kUniform;
  // kRecorded: FFNs, routers and inputs come from here; `shape` must be the checkpoint's.
  const split::MoeCheckpoint* moe = nullptr;
  const record::ActivationDump* dump = nullptr;
  std::vector<runtime::WeightFormat> weights = {runtime::WeightFormat::kF32};
  std::vector<int64_t> tokens = {1, 8, 32, 128, 512};
  std::vector<double> ffn_ratios = {0.2};
  std::vector<int> threads = {0};  // 0: one per processor of this process
  int64_t repetitions = 0;         // 0: as many as fit in `seconds_per_row`, 5 to 200
  double seconds_per_row = 3;
  double rotation = 10;  // times the last-level cache
  uint64_t seed = 0;
};

// The median and the quartiles of all repetitions.
struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};
Spread SpreadOf(std::vector<double> values);  // not empty

struct BenchmarkRow {
  int64_t tokens = 0;
  double ffn_ratio = 0;      // as run: chosen experts / experts
  int64_t num_selected = 0;  // experts per token
  int threads = 0;
  runtime::WeightFormat weights = runtime::WeightFormat::kF32;
  bool dense_fallback = false;  // routing is no less work than running everything
  int64_t repetitions = 0;
  Spread dense_ms;
  Spread sparse_ms;             // router, selection and experts
  Spread router_ms;             // router and selection alone
  Spread kernel_ms;             // experts alone
  Spread speedup;               // dense / sparse, repetition by repetition
  double expert_loads = 0;      // experts whose weights were read, mean per call
  double sparse_bytes = 0;      // expert and router weights read, mean per call
  double sparse_flops = 0;      // of experts and router, per call, zeros of ReLU included
  double sparse_gflops = 0;     // per second, at the median
  double sparse_gigabytes = 0;  // per second, at the median
  double dense_gflops = 0;
  double dense_gigabytes = 0;
  int64_t packed_layer_bytes = 0;  // memory of one FFN's experts
  double roofline_ms = 0;          // bytes / bandwidth or flops / peak, whichever is longer
};

struct BenchmarkResult {
  BenchmarkShape shape;
  std::string cpu;
  std::string instruction_set;  // of our kernels
  std::string blas_warning;     // "" when LibTorch's BLAS is a good one
  int64_t last_level_cache_bytes = 0;
  int64_t num_layers = 0;  // whose weights take turns
  int64_t dense_layer_bytes = 0;
  double bandwidth_gigabytes = 0;  // reading memory, per second, with the most threads
  double peak_gflops = 0;          // LibTorch's matrix product of 1024 x 1024 x 1024, likewise
  std::vector<BenchmarkRow> rows;  // weights x threads x ratios x tokens, the last fastest
};

// Throws Error{kUsage} for options that make no sense, Error{kSystem} without the memory.
BenchmarkResult RunBenchmark(const BenchmarkOptions& options,
                             Progress& progress = SilentProgress());

}  // namespace moefy::bench
