#include "runtime/packed_source.h"

#include "moefy/base/strings.h"

namespace moefy::runtime {

PackedSource::PackedSource(const io::Checkpoint& checkpoint, WeightFormat format,
                           PackedRecorder* recorder)
    : checkpoint_(checkpoint), file_(PackedFile::Find(checkpoint)), recorder_(recorder) {
  if (file_) file_->RequireFormat(format);
}

model::Parts PackedSource::parts() const {
  return file_ ? model::Parts::kPacked : model::Parts::kForExchange;
}

PackedStore* PackedSource::store() const {
  return file_ ? static_cast<PackedStore*>(file_.get()) : recorder_;
}

PackedSlot PackedSource::Slot(size_t ffn_idx) const { return {store(), StrCat("ffn.", ffn_idx)}; }

model::FfnWeights PackedSource::ReadFfn(const model::FfnSpec& spec) const {
  return file_ ? model::ReadFfnBiases(checkpoint_, spec) : model::ReadFfnWeights(checkpoint_, spec);
}

}  // namespace moefy::runtime
