#include "runtime/dense_model.h"

#include <memory>

#include "base/heap.h"
#include "runtime/packed_feed_forward.h"
#include "runtime/packed_model.h"

namespace moefy::runtime {

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
        i, PackFeedForward(model::ReadFfnWeights(checkpoint, transformer.ffn_spec(i)), format));
    ReturnFreedMemory();
    progress.Advance(1);
  }
  progress.End(WeightFormatName(format));
  return transformer;
}

}  // namespace moefy::runtime
