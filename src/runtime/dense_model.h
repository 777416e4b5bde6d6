// A dense model whose weights are packed for our kernels, in any format: what a split model is
// compared with when only sparsity shall make the difference. Thread-safety: as Transformer's.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/feed_forward.h"
#include "moefy/model/transformer.h"
#include "runtime/expert_weights.h"
#include "runtime/run_experts.h"

namespace moefy::runtime {

// The dense FFN: every neuron runs, for every token.
class PackedFeedForward final : public model::FeedForward {
 public:
  explicit PackedFeedForward(ExpertWeights weights) : weights_(std::move(weights)) {}
  at::Tensor Forward(const at::Tensor& x) override;
  void ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) override;
  const SparseCounters& counters() const { return counters_; }

 private:
  ExpertWeights weights_;
  SparseCounters counters_;
};

// The whole dense model, ready to run on the CPU. The weights go FFN by FFN from the mapped file
// into the kernels' layout, so nothing is in memory twice. Throws as model::LoadTransformer.
model::Transformer LoadPackedTransformer(const io::Checkpoint& checkpoint, WeightFormat format,
                                         std::vector<std::string>* warnings = nullptr,
                                         Progress& progress = SilentProgress());

}  // namespace moefy::runtime
