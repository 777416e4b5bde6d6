// What a file is instead, where its bytes are not what its name promises: what a download that
// failed leaves behind, or a file of another program. Pure functions.
#pragma once

#include <string_view>

namespace moefy {

// A sentence for the end of a message, "; this is a Git LFS pointer: run ...", or "" where the
// first bytes are of no kind that is known. `bytes` may be the whole file or its first 64 bytes.
std::string_view ContentHint(std::string_view bytes);

// What stands in for a large file in a repository that was cloned without Git LFS. No file that
// moefy reads begins like that.
bool IsLfsPointer(std::string_view bytes);

}  // namespace moefy
