// A dense FFN whose weights are packed for our kernels: every neuron runs, for every token.
// Thread-safety: one call at a time, parallel inside.
#pragma once

#include <memory>

#include "moefy/model/feed_forward.h"
#include "moefy/model/ffn.h"
#include "runtime/run_experts.h"
#include "runtime/weight_arena.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

class PackedFeedForward : public model::FeedForward {
 public:
  at::Tensor Forward(const at::Tensor& x) final;
  void ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) final;
  const SparseCounters& counters() const { return counters_; }

 private:
  // Adds what it does to the counters, but for the time.
  virtual void Run(const float* x, int64_t tokens, float* y, SparseCounters& counters) = 0;

  SparseCounters counters_;
};

// Packs an FFN in `format`. One whose activation makes zeros runs as experts that are all chosen,
// which leave rows of W_out unread whose neurons are zero. Any other runs as linear maps, which are
// faster where there is nothing to leave out; W_out stays in INT8 with INT4, as in
// runtime/expert_weights.h. INT8 and INT4 lie in the slot's memory; where that is filled, only the
// shapes and the biases of `ffn` are looked at.
std::unique_ptr<PackedFeedForward> PackFeedForward(const model::FfnWeights& ffn,
                                                   WeightFormat format,
                                                   const PackedSlot& slot = {});

}  // namespace moefy::runtime
