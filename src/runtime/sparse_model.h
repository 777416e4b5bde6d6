// A split model in memory, ready to run sparsely. Experts are packed once and shared by every
// selection and ffn ratio that is tried. Thread-safety: one caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/model/transformer.h"
#include "route/selection.h"
#include "runtime/neuronwise_ffn.h"
#include "runtime/packed_source.h"
#include "runtime/sparse_ffn.h"
#include "split/moe_checkpoint.h"

namespace moefy::runtime {

class SparseModel {
 public:
  // `moe` must outlive the model. `seed` is that of the random selection. The weights go FFN by FFN
  // from the mapped file into the kernels' layout, so nothing is in memory twice; or stay in the
  // mapped file where the checkpoint holds them packed. With `recorder`, which outlives this call
  // only, packed weights can be written.
  explicit SparseModel(const split::MoeCheckpoint& moe, uint64_t seed = 0,
                       WeightFormat format = WeightFormat::kF32,
                       Progress& progress = SilentProgress(), PackedRecorder* recorder = nullptr);

  // Puts in sparse FFNs with this selection and mean ratio, with fresh counters, and with the
  // stored routers what stands in for experts. Throws Error{kUsage} for a model without what it
  // needs.
  void Install(const route::Selection& selection, double ffn_ratio);

  model::Transformer& transformer() { return transformer_; }
  // The sum over all FFNs since Install.
  SparseCounters Counters() const;
  // The FLOPs that the dense FFNs would have needed for the tokens seen since Install.
  double DenseFlops() const;

 private:
  void PackFfns(bool neuronwise, Progress& progress);

  const split::MoeCheckpoint& moe_;
  uint64_t seed_;
  PackedSource source_;
  model::Transformer transformer_;
  WeightFormat format_;
  // A model that `first-product` routers run neuron by neuron (runtime/neuronwise_ffn.h) has
  // experts only once another selection has asked for them.
  std::vector<std::shared_ptr<const ExpertWeights>> experts_;
  std::vector<std::shared_ptr<const NeuronwiseWeights>> neuronwise_;
  std::vector<const SparseCounters*> installed_;  // of FFNs that transformer_ owns
};

}  // namespace moefy::runtime
