// Says what a file is whose bytes are not what its name promises: what a failed download leaves
// behind, or a file of another program. Pure functions.
#pragma once

#include <string_view>

namespace moefy {

// Returns a sentence for the end of a message, "; this is a Git LFS pointer: run ...", or "" for an
// unknown kind. `bytes` may be the whole file or its first 64 bytes.
std::string_view ContentHint(std::string_view bytes);

// Whether the bytes stand in for a large file in a repository that was cloned without Git LFS. No
// file that moefy reads begins like that.
bool IsLfsPointer(std::string_view bytes);

}  // namespace moefy
