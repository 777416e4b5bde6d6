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

// What else lies in a checkpoint's directory and is worth keeping (tokenizer, generation config,
// README): regular files of at most 64 MB that are not hidden, not moefy's own, not config.json,
// and not weights in any format.
struct SideFiles {
  std::vector<std::filesystem::path> names;  // relative to the directory, sorted
  std::vector<std::string> warnings;         // one for each file that is too large
};
SideFiles FindSideFiles(const io::Checkpoint& checkpoint);

// Copies them, and returns the warnings.
std::vector<std::string> CopySideFiles(const io::Checkpoint& from,
                                       const std::filesystem::path& directory);

}  // namespace moefy::split
