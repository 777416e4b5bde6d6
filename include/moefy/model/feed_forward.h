// The seam: a Transformer owns one FeedForward per block and never knows which kind it is.
// Recording, masked MoE and the sparse runner are all put in through it.
// Thread-safety: one call at a time per object (implementations may count or keep buffers).
#pragma once

#include <ATen/ATen.h>

#include "moefy/model/ffn.h"

namespace moefy::model {

class FeedForward {
 public:
  virtual ~FeedForward() = default;
  // Maps x [tokens, hidden], F32, contiguous, to [tokens, hidden]. The tokens are real ones, never
  // padding; there may be none. An implementation must not change x.
  virtual at::Tensor Forward(const at::Tensor& x) = 0;
  // Does the same on the CPU from plain memory to plain memory, for loops that make no tensors: x
  // and y are [tokens, hidden] and do not overlap.
  virtual void ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y);
};

// The plain FFN; differentiable when its weights require gradients.
class DenseFeedForward final : public FeedForward {
 public:
  explicit DenseFeedForward(FfnWeights weights);
  at::Tensor Forward(const at::Tensor& x) override;
  const FfnWeights& weights() const { return weights_; }

 private:
  FfnWeights weights_;
};

}  // namespace moefy::model
