#include "runtime/dense_model.h"

#include <memory>

#include "base/heap.h"
#include "moefy/base/error.h"
#include "runtime/packed_feed_forward.h"
#include "runtime/packed_model.h"
#include "runtime/packed_source.h"
#include "split/moe_checkpoint.h"

namespace moefy::runtime {

model::Transformer LoadPackedTransformer(const io::Checkpoint& checkpoint, WeightFormat format,
                                         std::vector<std::string>* warnings, Progress& progress,
                                         PackedRecorder* recorder) {
  const PackedSource source(checkpoint, format, recorder);
  if (source.is_packed() && split::MoeCheckpoint::IsMoe(checkpoint.directory())) {
    throw UsageError(checkpoint.directory(), " is a split checkpoint, packed to run expert by ",
                     "expert: give --selection stored; with --ffn-ratio 1 all experts run");
  }
  model::Transformer transformer = model::LoadTransformer(checkpoint, warnings, source.parts());
  UseKernels(transformer, format, source.store());
  // What packing frees would stay with the process, and add up to a fifth of the weights.
  ReturnFreedMemory();
  progress.Begin("packing FFNs", transformer.num_ffns(), "FFNs");
  for (size_t i = 0; i < transformer.num_ffns(); ++i) {
    transformer.ExchangeFeedForward(
        i, PackFeedForward(source.ReadFfn(transformer.ffn_spec(i)), format, source.Slot(i)));
    ReturnFreedMemory();
    progress.Advance(1);
  }
  progress.End(WeightFormatName(format));
  return transformer;
}

}  // namespace moefy::runtime
