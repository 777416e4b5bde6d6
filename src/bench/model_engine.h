// The ways in which the benchmark of a checkpoint runs it: through LibTorch, densely on packed
// weights, or sparsely. Thread-safety: one caller at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/transformer.h"
#include "route/selection.h"
#include "runtime/sparse_model.h"

namespace moefy::bench {

enum class EngineKind {
  kTorch,   // LibTorch, F32
  kDense,   // all of each FFN, on weights packed for our kernels
  kSparse,  // the experts that a selection chooses
};
std::string EngineName(EngineKind kind);  // "torch", "dense", "sparse"

// A model in memory.
class ModelEngine {
 public:
  // `moe` is null unless the engine is to run sparsely; both it and `checkpoint` outlive the
  // engine. `format` is F32 for kTorch.
  ModelEngine(EngineKind kind, const io::Checkpoint& checkpoint, const split::MoeCheckpoint* moe,
              runtime::WeightFormat format, uint64_t seed, Progress& progress);

  EngineKind kind() const { return kind_; }
  runtime::WeightFormat format() const { return format_; }
  model::Transformer& transformer();
  // kSparse: runs with this selection and mean ratio from here on.
  void Install(const route::Selection& selection, double ffn_ratio);
  // Of all FFNs together, since Install; all zero for kTorch.
  runtime::SparseCounters Counters() const;

  double load_seconds() const { return load_seconds_; }
  // What the process's memory grew by while the model was made: memory of its own, and pages of
  // mapped files. 0: unknown, or none.
  int64_t own_bytes() const { return own_bytes_; }
  int64_t mapped_bytes() const { return mapped_bytes_; }

 private:
  EngineKind kind_;
  runtime::WeightFormat format_;
  std::unique_ptr<model::Transformer> transformer_;  // null for kSparse
  std::unique_ptr<runtime::SparseModel> sparse_;     // of kSparse
  double load_seconds_ = 0;
  int64_t own_bytes_ = 0, mapped_bytes_ = 0;
};

}  // namespace moefy::bench
