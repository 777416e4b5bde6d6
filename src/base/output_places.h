// Decides where an output may go and what may make room for it.
#pragma once

#include <filesystem>
#include <string>

#include "base/output.h"

namespace moefy {

// Whether something is there; a link that leads nowhere counts. Throws Error{kUsage} for a name
// that no file can have, Error{kSystem} when the system refuses.
bool IsPresent(const std::filesystem::path& path);

// Makes "out" of "out/" and "./out". Throws Error{kUsage} for a path without a name to rename to.
std::filesystem::path NormalTarget(const std::filesystem::path& target);

// Throws Error{kUsage} unless `target`, which is normal, has a directory to stand in and may be
// written there: see StagedDirectory.
void CheckTarget(const std::filesystem::path& target, Staging::Kind kind, IfExists if_exists,
                 const InputPaths& inputs);

// The part of CheckTarget about what stands at `target` already.
void CheckExisting(const std::filesystem::path& target, Staging::Kind kind, IfExists if_exists);

}  // namespace moefy
