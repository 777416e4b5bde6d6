// A split model in memory, ready to run sparsely: packed experts are made once and shared by every
// selection and ffn ratio that is tried. Thread-safety: one caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/model/transformer.h"
#include "moefy/route/selection.h"
#include "moefy/runtime/sparse_ffn.h"
#include "moefy/split/moe_checkpoint.h"

namespace moefy::runtime {

class SparseModel {
 public:
  // `moe` must outlive the model. `seed` is that of the random selection. FFN by FFN, the weights
  // go from the mapped file into the kernels' layout: nothing is in memory twice.
  explicit SparseModel(const split::MoeCheckpoint& moe, uint64_t seed = 0,
                       WeightFormat format = WeightFormat::kF32,
                       Progress& progress = SilentProgress());

  // Puts sparse FFNs with this selection (route::ParseSelection: "mlp", "mlp:threshold", "oracle")
  // and mean ratio in, with fresh counters, and the stored compensation with the stored routers.
  // Error{kUsage} for an unknown name or a model without what it needs.
  void Install(const std::string& selection, double ffn_ratio);

  model::Transformer& transformer() { return transformer_; }
  // Of all FFNs together since Install.
  SparseCounters Counters() const;
  // FLOPs the dense FFNs would have needed for the tokens seen since Install.
  double DenseFlops() const;

 private:
  std::shared_ptr<const ExpertWeights> Compensated(const at::Tensor& terms, size_t ffn_idx) const;

  const split::MoeCheckpoint& moe_;
  uint64_t seed_;
  model::Transformer transformer_;
  std::vector<std::shared_ptr<const ExpertWeights>> experts_;
  std::vector<SparseFeedForward*> installed_;  // owned by transformer_
};

// How one FFN chooses experts and stands in for the others, whoever computes them.
struct FfnSelection {
  std::shared_ptr<route::Router> router;
  SelectionRule rule;
  at::Tensor compensation;  // [experts, hidden]; undefined for none
};
// Of every FFN, with the stored routers, thresholds, budgets and compensation. Compensation is of
// the experts that the stored router leaves out; other selections go without. What a router
// computes with is on `device`. Errors as Install.
std::vector<FfnSelection> SelectionOf(const split::MoeCheckpoint& moe, const std::string& selection,
                                      double ffn_ratio, uint64_t seed = 0,
                                      at::Device device = at::kCPU);

// Throws Error{kUsage} unless each is a known selection that every model can serve.
void CheckSelections(const std::vector<std::string>& selections,
                     const std::vector<const split::MoeCheckpoint*>& models);

}  // namespace moefy::runtime
