#include "bench/model_engine.h"

#include <algorithm>

#include "base/heap.h"
#include "base/stopwatch.h"
#include "bench/machine.h"
#include "moefy/base/error.h"
#include "runtime/packed_linear.h"

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

namespace {

// As many experts as give each at least a tile of neurons: the work is shared out by them.
int64_t ExpertsToPack(int64_t num_neurons) {
  int64_t experts = std::max<int64_t>(1, num_neurons / runtime::kTileNeurons);
  while (num_neurons % experts != 0) --experts;
  return experts;
}

}  // namespace

// All of an FFN on packed weights.
class ModelEngine::DensePackedFfn final : public model::FeedForward {
 public:
  DensePackedFfn(const model::FfnWeights& ffn, runtime::WeightFormat format)
      : experts_(runtime::PackExperts(ffn, ExpertsToPack(ffn.num_neurons()), format)) {}

  at::Tensor Forward(const at::Tensor& x) override {
    const at::Tensor in = x.contiguous();
    at::Tensor y = at::empty_like(in);
    ForwardInto(in.data_ptr<float>(), in.size(0), in.size(1), y.data_ptr<float>());
    return y;
  }
  void ForwardInto(const float* x, int64_t tokens, int64_t, float* y) override {
    const Stopwatch stopwatch;
    runtime::RunAllExpertRows(experts_, x, tokens, y, &counters_);
    counters_.seconds += stopwatch.Seconds();
  }
  const runtime::SparseCounters& counters() const { return counters_; }

 private:
  runtime::ExpertWeights experts_;
  runtime::SparseCounters counters_;
};

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
      MakeDense(checkpoint, progress);
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

void ModelEngine::MakeDense(const io::Checkpoint& checkpoint, Progress& progress) {
  transformer_ = std::make_unique<model::Transformer>(
      model::LoadTransformer(checkpoint, nullptr, model::Parts::kForExchange));
  transformer_->ExchangeLinears([&](const at::Tensor& weight, const at::Tensor& bias) {
    // In F32 a packed map shares its weight, and a mapped file is slower to read than memory.
    return std::make_shared<const runtime::PackedLinear>(
        format_ == runtime::WeightFormat::kF32 ? weight.clone() : weight, bias, format_);
  });
  ReturnFreedMemory();
  progress.Begin(StrCat("packing ", runtime::WeightFormatName(format_)), transformer_->num_ffns(),
                 "FFNs");
  for (size_t i = 0; i < transformer_->num_ffns(); ++i) {
    auto ffn = std::make_unique<DensePackedFfn>(
        model::ReadFfnWeights(checkpoint, transformer_->ffn_spec(i)), format_);
    dense_ffns_.push_back(ffn.get());
    transformer_->ExchangeFeedForward(i, std::move(ffn));
    ReturnFreedMemory();
    progress.Advance(1);
  }
  progress.End("");
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
  for (const DensePackedFfn* ffn : dense_ffns_) total += ffn->counters();
  return total;
}

}  // namespace moefy::bench
