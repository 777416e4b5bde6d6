// A dense model whose weights are packed for our kernels, in any format: what a split model is
// compared with when only sparsity shall make the difference. Thread-safety: as Transformer's.
#pragma once

#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/transformer.h"
#include "runtime/packed_file.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

// The whole dense model, ready to run on the CPU. The weights go FFN by FFN from the mapped file
// into the kernels' layout, so nothing is in memory twice. Where the checkpoint holds its weights
// packed they stay in the mapped file. With `recorder`, which outlives the call only, packed
// weights can be written. Throws as model::LoadTransformer and PackedFile.
model::Transformer LoadPackedTransformer(const io::Checkpoint& checkpoint, WeightFormat format,
                                         std::vector<std::string>* warnings = nullptr,
                                         Progress& progress = SilentProgress(),
                                         PackedRecorder* recorder = nullptr);

}  // namespace moefy::runtime
