// The state on disk that a stopped training goes on from: state.safetensors (weights, moments, best
// weights) and state.json. The directory appears whole or not at all.
#pragma once

#include <filesystem>
#include <optional>

#include "base/json.h"
#include "base/output.h"
#include "moefy/model/tensor_io.h"

namespace moefy::train {

struct TrainingState {
  model::TensorMap tensors;
  Json progress;  // the loop's own
};

// Writes the state in place of the one that is there.
void SaveState(const std::filesystem::path& directory, const TrainingState& state,
               const Json& identity);
// Returns nothing when there is no state, or one that may be replaced because it has another
// identity or cannot be read. Where it may not, throws Error{kUsage} naming what differs, or
// Error{kInput}.
std::optional<TrainingState> LoadState(const std::filesystem::path& directory, const Json& identity,
                                       IfExists if_other);
// Removes the state of a training whose result is written. A directory that is not moefy's stays.
void RemoveState(const std::filesystem::path& directory);

}  // namespace moefy::train
