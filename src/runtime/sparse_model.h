// A split model in memory, ready to run sparsely: packed experts are made once and shared by every
// selection and ffn ratio that is tried. Thread-safety: one caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/model/transformer.h"
#include "route/selection.h"
#include "runtime/sparse_ffn.h"
#include "split/moe_checkpoint.h"

namespace moefy::runtime {

// How one FFN chooses experts and stands in for the others, whoever computes them.
struct FfnSelection {
  std::shared_ptr<route::Router> router;
  SelectionRule rule;
  at::Tensor compensation = {};       // [experts, hidden]; undefined for none
  route::Correction correction = {};  // times the share of the experts that do not run
  at::Tensor min_magnitude = {};      // [neurons]; neurons that give less count for nothing
};

// The sparse FFN that does it, on experts that others may share.
std::unique_ptr<SparseFeedForward> MakeSparse(std::shared_ptr<const ExpertWeights> packed,
                                              const FfnSelection& selection);

class SparseModel {
 public:
  // `moe` must outlive the model. `seed` is that of the random selection. FFN by FFN, the weights
  // go from the mapped file into the kernels' layout: nothing is in memory twice.
  explicit SparseModel(const split::MoeCheckpoint& moe, uint64_t seed = 0,
                       WeightFormat format = WeightFormat::kF32,
                       Progress& progress = SilentProgress());

  // Puts sparse FFNs with this selection (route::ParseSelection: "mlp", "mlp:threshold", "oracle")
  // and mean ratio in, with fresh counters, and with the stored routers what stands in for experts.
  // Error{kUsage} for an unknown name or a model without what it needs.
  void Install(const std::string& selection, double ffn_ratio);

  model::Transformer& transformer() { return transformer_; }
  // Of all FFNs together since Install.
  SparseCounters Counters() const;
  // FLOPs the dense FFNs would have needed for the tokens seen since Install.
  double DenseFlops() const;

 private:
  const split::MoeCheckpoint& moe_;
  uint64_t seed_;
  model::Transformer transformer_;
  std::vector<std::shared_ptr<const ExpertWeights>> experts_;
  std::vector<SparseFeedForward*> installed_;  // owned by transformer_
};

// Of every FFN, with the stored routers, thresholds, budgets, compensation and correction. The last
// two are of the experts that the stored router leaves out; other selections go without. All
// tensors are on `device`. Errors as Install.
std::vector<FfnSelection> SelectionOf(const split::MoeCheckpoint& moe, const std::string& selection,
                                      double ffn_ratio, uint64_t seed = 0,
                                      at::Device device = at::kCPU);

// `selection` with the kind of the model's own routers in the place of "stored".
std::string NameSelection(const split::MoeCheckpoint& moe, const std::string& selection);

// Throws Error{kUsage} unless each is a known selection that every model can serve.
void CheckSelections(const std::vector<std::string>& selections,
                     const std::vector<const split::MoeCheckpoint*>& models);

}  // namespace moefy::runtime
