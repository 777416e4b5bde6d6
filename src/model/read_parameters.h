// A checkpoint's tensors as the model wants them: all there, of the right shape, in F32.
// Thread-safe.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"
#include "moefy/model/tensor_io.h"
#include "moefy/model/transformer.h"

namespace moefy::model {

// Compares the checkpoint's headers with what the config implies. Throws Error{kInput} that lists
// all tensors that are missing or of another shape, except those `left_out`. `warnings` hears which
// tensors the model does not use.
void CheckParameters(const io::Checkpoint& checkpoint, const ModelConfig& config,
                     std::vector<std::string>* warnings = nullptr,
                     const std::set<std::string>& left_out = {});

// Reads every tensor the model has, without keeping any: Error{kInput} for values that are not
// finite, as ReadParameters gives. For those who copy tensors and do not compute on them.
void CheckValues(const io::Checkpoint& checkpoint, const ModelConfig& config);

// Checks the headers, then reads every tensor the family expects, as F32, except those `left_out`.
TensorMap ReadParameters(const io::Checkpoint& checkpoint, const ModelConfig& config,
                         std::vector<std::string>* warnings = nullptr, Parts parts = Parts::kAll,
                         std::set<std::string> left_out = {});

}  // namespace moefy::model
