// Checkpoints whose files can be read but hold no weights to compute on: quantised ones, and
// adapters. Thread-safe.
#pragma once

#include "moefy/io/checkpoint.h"

namespace moefy::model {

// Throws Error{kInput} that says what such a checkpoint is and what to do. It is known by
// quantization_config in the config.json beside the weights, and by the names and types of the
// tensors; only headers are read.
void RefuseUnusableWeights(const io::Checkpoint& checkpoint);

// The weights of linear maps and FFNs as the kernels read them, which `moefy pack` puts in place of
// their tensors.
inline constexpr const char* kPackedWeights = "moefy.packed.safetensors";
bool HoldsPackedWeights(const io::Checkpoint& checkpoint);
// Throws Error{kInput} for such a checkpoint: for all that needs the weights themselves.
void RefusePackedWeights(const io::Checkpoint& checkpoint);

}  // namespace moefy::model
