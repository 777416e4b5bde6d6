// A training on disk, to go on from: state.safetensors (weights, moments, best weights) and
// state.json (docs/formats.md). The directory appears whole or not at all.
#pragma once

#include <filesystem>
#include <optional>

#include "moefy/base/json.h"
#include "moefy/base/output.h"
#include "moefy/model/tensor_io.h"

namespace moefy::train {

struct TrainingState {
  model::TensorMap tensors;
  Json progress;  // the loop's own
};

// Replaces what is there.
void SaveState(const std::filesystem::path& directory, const TrainingState& state,
               const Json& identity);
// Empty when there is none, or one of another identity that may be replaced; else Error{kUsage}
// naming what differs.
std::optional<TrainingState> LoadState(const std::filesystem::path& directory, const Json& identity,
                                       IfExists if_other);
// At the end of a training. What is not moefy's stays.
void RemoveState(const std::filesystem::path& directory);

}  // namespace moefy::train
