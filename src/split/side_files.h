// What lies beside a checkpoint's weights and belongs to the model: config.json and small files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/io/checkpoint.h"

namespace moefy::split {

// Writes config.json with this text, unless it is "": models whose FFNs are named by hand may have
// none.
void WriteConfigText(const std::filesystem::path& directory, const std::string& config);

// Copies what else lies in a checkpoint's directory and is worth keeping (tokenizer, generation
// config, README): regular files of at most 64 MB that are not hidden, not moefy's own, not
// config.json, and not weights in any format. Returns a warning for each file that is too large.
std::vector<std::string> CopySideFiles(const io::Checkpoint& from,
                                       const std::filesystem::path& directory);

}  // namespace moefy::split
