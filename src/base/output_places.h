// Where an output may not go, and what may not make room for one.
#pragma once

#include <filesystem>
#include <string>

#include "moefy/base/output.h"

namespace moefy {

// Whether something is there, a link that leads nowhere too. Error{kUsage} for a name that no file
// can have, Error{kSystem} when the system refuses.
bool IsPresent(const std::filesystem::path& path);

// "out/" and "./out" both as "out"; Error{kUsage} for what has no name of its own to rename to.
std::filesystem::path NormalTarget(const std::filesystem::path& target);

// Throws Error{kUsage} unless `target`, which is normal, has a directory to stand in and may be
// written there: see StagedDirectory.
void CheckTarget(const std::filesystem::path& target, Staging::Kind kind, IfExists if_exists,
                 const InputPaths& inputs);

// Removes what processes that were killed at work on `target` left beside it, and puts back what
// one of them had moved aside. Never throws.
void CleanUpFor(const std::filesystem::path& target);

// Only the part about what stands at `target` already.
void CheckExisting(const std::filesystem::path& target, Staging::Kind kind, IfExists if_exists);

}  // namespace moefy
