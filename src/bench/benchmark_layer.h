// The FFNs that a benchmark runs, dense through LibTorch and sparse through the kernels.
#pragma once

#include <ATen/ATen.h>

#include <memory>

#include "bench/benchmark.h"
#include "moefy/model/ffn.h"
#include "route/router.h"
#include "runtime/expert_weights.h"

namespace moefy::bench {

// One FFN twice: as LibTorch runs it and as we do.
struct BenchmarkLayer {
  at::Tensor w_in, b_in, w_gate, w_out, b_out;  // W_out as LibTorch wants it: [hidden, neurons]
  std::shared_ptr<const runtime::ExpertWeights> experts;  // in the format being measured
  std::shared_ptr<route::Router> router;
  size_t dumped_ffn = 0;  // recorded routing: where its inputs are, and the next one
  int64_t next_input = 0;

  model::FfnWeights weights(model::Activation activation) const {
    return {w_in, b_in, w_gate, w_out.t(), b_out, activation, {}};
  }
};

// Reads one of the checkpoint's FFNs with its router.
BenchmarkLayer ReadLayer(const split::MoeCheckpoint& moe, const record::ActivationDump& dump,
                         size_t ffn_idx);

// Makes an FFN with random weights, scaled so that outputs are as large as inputs, and a random MLP
// router.
BenchmarkLayer MakeLayer(const BenchmarkShape& shape, at::Generator& generator);

// Runs the FFN as a tuned dense model would: x [tokens, hidden] -> [tokens, hidden].
at::Tensor RunDense(const BenchmarkLayer& layer, const model::Activation& activation,
                    const at::Tensor& x);

}  // namespace moefy::bench
