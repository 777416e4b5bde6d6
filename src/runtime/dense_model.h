// A dense model whose weights are packed for our kernels, in any format: what a split model is
// compared with when only sparsity shall make the difference. Thread-safety: as Transformer's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/feed_forward.h"
#include "moefy/model/ffn.h"
#include "moefy/model/transformer.h"
#include "runtime/run_experts.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

// The dense FFN: every neuron runs, for every token.
class PackedFeedForward : public model::FeedForward {
 public:
  at::Tensor Forward(const at::Tensor& x) final;
  const SparseCounters& counters() const { return counters_; }

 protected:
  SparseCounters counters_;
};

// Packs an FFN in `format`: as experts that are all chosen, or as linear maps. Experts leave rows
// of W_out unread whose neurons are zero, and put what enters W_out into 8 bits at once, for INT8
// and INT4; linear maps are faster where there is neither to do, because BLAS takes over for many
// tokens.
std::unique_ptr<PackedFeedForward> PackFeedForward(const model::FfnWeights& ffn,
                                                   WeightFormat format);

// The whole dense model, ready to run on the CPU. The weights go FFN by FFN from the mapped file
// into the kernels' layout, so nothing is in memory twice. Throws as model::LoadTransformer.
model::Transformer LoadPackedTransformer(const io::Checkpoint& checkpoint, WeightFormat format,
                                         std::vector<std::string>* warnings = nullptr,
                                         Progress& progress = SilentProgress());

}  // namespace moefy::runtime
