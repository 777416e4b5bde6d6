// Checkpoints that hold no weights to compute on, though their files can be read: quantised ones,
// and adapters.
#pragma once

#include "moefy/io/checkpoint.h"

namespace moefy::model {

// Throws Error{kInput} that says what it is and what to do: by quantization_config in config.json,
// if there is one beside the weights, and by names and types of the tensors. Reads headers only.
void RefuseUnusableWeights(const io::Checkpoint& checkpoint);

}  // namespace moefy::model
