// Undoes a split.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/progress.h"
#include "split/moe_checkpoint.h"

namespace moefy::split {

// Writes the dense checkpoint again, bit for bit (as safetensors, whatever it was), into
// `directory`, which exists and is empty. Returns warnings about files that it left out. Throws
// Error{kInput} when config.json was changed after the split, Error{kSystem} when the disk is full
// or a file cannot be read. Advances `progress` by the weights' bytes; the caller begins and ends
// the step.
std::vector<std::string> MergeMoe(const MoeCheckpoint& moe, const std::filesystem::path& directory,
                                  Progress& progress = SilentProgress());

}  // namespace moefy::split
