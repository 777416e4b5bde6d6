#include "bench/model_engine.h"

#include <algorithm>

#include "base/heap.h"
#include "base/stopwatch.h"
#include "bench/machine.h"
#include "moefy/base/error.h"
#include "runtime/dense_model.h"
#include "runtime/packed_feed_forward.h"

namespace moefy::bench {

std::string EngineName(EngineKind kind) {
  switch (kind) {
    case EngineKind::kTorch:
      return "torch";
    case EngineKind::kDense:
      return "dense";
    default:
      return "sparse";
  }
}

ModelEngine::ModelEngine(EngineKind kind, const io::Checkpoint& checkpoint,
                         const split::MoeCheckpoint* moe, runtime::WeightFormat format,
                         uint64_t seed, Progress& progress)
    : kind_(kind), format_(format) {
  MOEFY_CHECK(kind == EngineKind::kSparse ? moe != nullptr : true);
  MOEFY_CHECK(kind != EngineKind::kTorch || format == runtime::WeightFormat::kF32);
  ReturnFreedMemory();
  const MemoryInUse before = CurrentMemory();
  const Stopwatch stopwatch;
  switch (kind) {
    case EngineKind::kTorch:
      transformer_ = std::make_unique<model::Transformer>(model::LoadTransformer(checkpoint));
      break;
    case EngineKind::kDense:
      transformer_ = std::make_unique<model::Transformer>(
          runtime::LoadPackedTransformer(checkpoint, format, nullptr, progress));
      break;
    case EngineKind::kSparse:
      sparse_ = std::make_unique<runtime::SparseModel>(*moe, seed, format, progress);
      break;
  }
  load_seconds_ = stopwatch.Seconds();
  ReturnFreedMemory();
  const MemoryInUse after = CurrentMemory();
  own_bytes_ = std::max<int64_t>(0, after.own_bytes - before.own_bytes);
  mapped_bytes_ = std::max<int64_t>(0, after.mapped_bytes - before.mapped_bytes);
}

model::Transformer& ModelEngine::transformer() {
  return sparse_ ? sparse_->transformer() : *transformer_;
}

void ModelEngine::Install(const route::Selection& selection, double ffn_ratio) {
  MOEFY_CHECK(sparse_);
  sparse_->Install(selection, ffn_ratio);
}

runtime::SparseCounters ModelEngine::Counters() const {
  if (sparse_) return sparse_->Counters();
  runtime::SparseCounters total;
  if (kind_ != EngineKind::kDense) return total;
  for (size_t i = 0; i < transformer_->num_ffns(); ++i) {
    total += static_cast<runtime::PackedFeedForward&>(transformer_->feed_forward(i)).counters();
  }
  return total;
}

}  // namespace moefy::bench
