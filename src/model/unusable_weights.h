// Checkpoints whose files can be read but hold no weights to compute on: quantised ones, and
// adapters. Thread-safe.
#pragma once

#include "moefy/io/checkpoint.h"

namespace moefy::model {

// Throws Error{kInput} that says what such a checkpoint is and what to do. It is known by
// quantization_config in the config.json beside the weights, and by the names and types of the
// tensors; only headers are read.
void RefuseUnusableWeights(const io::Checkpoint& checkpoint);

}  // namespace moefy::model
