// Measures how fast a whole model is: encoder and greedy decoding, LibTorch's dense model against
// the sparse one, on random weights of a named shape. Both are in memory at once and take turns.
// Thread-safety: one benchmark at a time (it sets the process's threads).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/benchmark.h"

namespace moefy::bench {

struct EndToEndOptions {
  std::string shape = "t5-large";  // or "t5-base", "t5-small"
  std::vector<double> ffn_ratios = {0.25};
  std::vector<runtime::WeightFormat> weights = {runtime::WeightFormat::kF32};
  int64_t layers = 0;          // per stack, instead of the shape's own
  int64_t batch = 8;           // of the encoder
  int64_t tokens = 128;        // per sequence
  int64_t decoded_tokens = 8;  // per repetition, at batch 1
  int64_t repetitions = 3;
  std::vector<int> threads = {0};  // 0: one per processor
  uint64_t seed = 0;
};

struct EndToEndRow {
  std::string what;  // "encoder 8 x 128", "decoder 1 token"
  runtime::WeightFormat weights = runtime::WeightFormat::kF32;
  double ffn_ratio = 0;
  int threads = 0;
  int64_t weight_bytes = 0;  // memory of the sparse model: experts, routers, linear maps, the table
  // The error of the logits against those of the dense model in F32, on the same tokens: the root
  // mean square of the difference over that of the logits. All experts run, so no choice flips.
  double logits_error = 0;
  Spread dense_ms;
  Spread sparse_ms;
  Spread ffn_ms;  // part of the sparse run, router included
  Spread speedup;
  // These are of the sparse run, per call or token.
  double expert_bytes = 0;  // expert weights read
  double bytes = 0;         // weights, keys and values read; routers and activations are left out
  double flops = 0;         // of the linear maps, attention, experts and routers
  double roofline_ms = 0;   // the longer of bytes / bandwidth and flops / peak, of this run
};

struct EndToEndResult {
  std::string cpu;
  std::string instruction_set;
  double bandwidth_gigabytes = 0;  // reading memory, per second
  double peak_gflops = 0;          // LibTorch's product of two 1024 x 1024 matrices, per second
  int64_t dense_weight_bytes = 0;  // of all parameters, F32
  std::vector<EndToEndRow> rows;   // weights x threads x ratios x {encoder, decoder}
};

// Throws Error{kUsage} for an unknown shape, which lists the known ones.
EndToEndResult RunEndToEnd(const EndToEndOptions& options, Progress& progress = SilentProgress());

}  // namespace moefy::bench
