#include "runtime/dense_model.h"

#include <algorithm>
#include <memory>

#include "base/heap.h"
#include "base/stopwatch.h"
#include "moefy/base/error.h"
#include "runtime/packed_model.h"

namespace moefy::runtime {
namespace {

// As many experts as give each at least a tile of neurons, because experts are packed in parallel.
ExpertWeights PackAll(const model::FfnWeights& ffn, WeightFormat format) {
  const int64_t neurons = ffn.num_neurons();
  int64_t experts = std::max<int64_t>(1, neurons / kTileNeurons);
  while (neurons % experts != 0) --experts;
  return PackExperts(ffn, experts, format);
}

}  // namespace

at::Tensor PackedFeedForward::Forward(const at::Tensor& x) {
  MOEFY_CHECK(x.dim() == 2 && x.scalar_type() == at::kFloat);
  const at::Tensor in = x.contiguous();
  at::Tensor y = at::empty_like(in, at::MemoryFormat::Contiguous);
  ForwardInto(in.data_ptr<float>(), x.size(0), x.size(1), y.data_ptr<float>());
  return y;
}

void PackedFeedForward::ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) {
  MOEFY_CHECK(hidden == weights_.hidden);
  const Stopwatch stopwatch;
  RunAllExpertRows(weights_, x, tokens, y, &counters_);
  counters_.seconds += stopwatch.Seconds();
}

model::Transformer LoadPackedTransformer(const io::Checkpoint& checkpoint, WeightFormat format,
                                         std::vector<std::string>* warnings, Progress& progress) {
  model::Transformer transformer =
      model::LoadTransformer(checkpoint, warnings, model::Parts::kForExchange);
  UseKernels(transformer, format, /*copy=*/true);
  // What packing frees would stay with the process, and add up to a fifth of the weights.
  ReturnFreedMemory();
  progress.Begin("packing FFNs", transformer.num_ffns(), "FFNs");
  for (size_t i = 0; i < transformer.num_ffns(); ++i) {
    transformer.ExchangeFeedForward(
        i, std::make_unique<PackedFeedForward>(
               PackAll(model::ReadFfnWeights(checkpoint, transformer.ffn_spec(i)), format)));
    ReturnFreedMemory();
    progress.Advance(1);
  }
  progress.End(WeightFormatName(format));
  return transformer;
}

}  // namespace moefy::runtime
