// Names beside an output's target: what is made there until it takes the target's name, and what
// killed processes left. The class Staging itself is in base/output.h, because staged outputs
// hold one.
#pragma once

#include <filesystem>

#include "base/output.h"

namespace moefy {

// Removes what processes that were killed at work on `target` left beside it, and puts back what
// one of them had moved aside. Never throws.
void CleanUpFor(const std::filesystem::path& target);

// Removes a directory that moefy made, and what killed processes left beside it. It steps aside
// first, so that a kill leaves the whole directory or a name that CleanUpFor knows, never a part of
// it under its own name. Never throws; what cannot be removed stays.
void RemoveOutput(const std::filesystem::path& target);

// The file beside `target` that says who is at work on it (base/output_lock.h).
std::filesystem::path LockFileFor(const std::filesystem::path& target);

// Has a path removed when the process ends without unwinding, or no more.
void RemoveAtExit(const std::filesystem::path& path);
void ForgetAtExit(const std::filesystem::path& path);

}  // namespace moefy
