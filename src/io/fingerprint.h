// Fingerprints of tensors and files: 32 hex digits of XXH3-128. Thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"

namespace moefy::io {

// Computes what Checkpoint::Fingerprint describes and keeps. Reads all weights, in parallel.
std::string TensorsFingerprint(const Checkpoint& checkpoint, Progress& progress);

// The fingerprint of all bytes of a file.
std::string FileFingerprint(const std::filesystem::path& path);
// The same of a file whose text was read before.
std::string TextFingerprint(std::string_view text);

}  // namespace moefy::io
