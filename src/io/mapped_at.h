// Tells which file it was when reading mapped memory went wrong. Thread-safe.
#pragma once

#include <filesystem>

namespace moefy::io {

// The file that a MappedFile maps at an address; "" for none.
std::filesystem::path FindMappedFile(const void* address);

}  // namespace moefy::io
