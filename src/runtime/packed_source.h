// Where a model that is made for our kernels takes its weights from: tensors that are packed on the
// way, or a file that holds them packed. Thread-safety: one caller at a time.
#pragma once

#include <memory>

#include "moefy/io/checkpoint.h"
#include "moefy/model/ffn.h"
#include "moefy/model/transformer.h"
#include "runtime/packed_file.h"

namespace moefy::runtime {

class PackedSource {
 public:
  // `checkpoint` outlives this. Throws as PackedFile.
  PackedSource(const io::Checkpoint& checkpoint, WeightFormat format,
               PackedRecorder* recorder = nullptr);

  bool is_packed() const { return file_ != nullptr; }
  model::Parts parts() const;
  PackedStore* store() const;
  PackedSlot Slot(size_t ffn_idx) const;  // of an FFN
  // An FFN to pack. Its matrices have no values where they are packed already.
  model::FfnWeights ReadFfn(const model::FfnSpec& spec) const;

 private:
  const io::Checkpoint& checkpoint_;
  std::unique_ptr<PackedFile> file_;
  PackedRecorder* recorder_;
};

}  // namespace moefy::runtime
