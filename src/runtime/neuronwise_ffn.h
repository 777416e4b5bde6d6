// An FFN that runs one of its first products for all neurons, and what else a neuron costs only for
// those that this product says count: the runner of `first-product` routers whose experts are
// single neurons. For few tokens the chosen rows are read one by one; for many, where every row is
// chosen by somebody, all products run densely and the neurons that are not chosen become zero.
// Thread-safety: weights are immutable; one call at a time per FFN, parallel inside.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "moefy/model/ffn.h"
#include "route/ffn_plan.h"
#include "runtime/activation_map.h"
#include "runtime/packed_feed_forward.h"
#include "runtime/packed_linear.h"

namespace moefy::runtime {

// A matrix to be read row by row; a row belongs to a neuron. In F32, BF16 and F16 rows are as they
// are; with INT8 and INT4 they are INT8 with a scale each.
struct NeuronRows {
  const std::byte* rows = nullptr;  // [neurons][hidden]
  const float* scales = nullptr;    // [neurons], of INT8
};

struct NeuronwiseWeights {
  // worth [matrices, neurons], as route::FirstProductRouter has it.
  NeuronwiseWeights(const model::FfnWeights& ffn, const at::Tensor& worth, WeightFormat format);

  int64_t neurons, hidden;
  Map map;
  bool gated, gate_first;
  PackedLinear first;                   // the product that all neurons get
  at::Tensor worth;                     // [neurons]
  std::unique_ptr<PackedLinear> other;  // the other first product, of a gated FFN
  PackedLinear out;                     // W_out
  WeightFormat row_format;
  NeuronRows other_rows, out_rows;  // the first of a gated FFN
  std::shared_ptr<void> rows;       // the memory of both
  at::Tensor other_bias, out_bias;  // or undefined

  int64_t BytesPerNeuron() const;  // that are read of a chosen one
};

class NeuronwiseFeedForward final : public PackedFeedForward {
 public:
  NeuronwiseFeedForward(std::shared_ptr<const NeuronwiseWeights> weights,
                        const route::SelectionRule& rule);

 private:
  void Run(const float* x, int64_t tokens, float* y, SparseCounters& counters) override;
  int64_t RunDensely(const float* x, int64_t tokens, float* y);  // returns neurons chosen
  int64_t RunChosen(const float* x, float* y);                   // of one token, likewise
  std::shared_ptr<const NeuronwiseWeights> weights_;
  route::SelectionRule rule_;
  std::vector<float> first_, other_, scores_, factors_, sums_;  // kept from call to call
  std::vector<int32_t> chosen_;                                 // likewise
};

}  // namespace moefy::runtime
