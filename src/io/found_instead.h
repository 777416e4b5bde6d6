// Says what lies where moefy looks for weights, and what to do about it. For messages only.
#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace moefy::io {

// For a path that is not there: how to get a repository of the hub, if it is named like one
// ("org/name").
std::string HintOfMissing(const std::filesystem::path& path);

// For a file that moefy does not read, by its name. "" for an unknown kind.
std::string HintOfFile(const std::string& name);

// For a directory without weights that moefy reads: an adapter, the hub's cache, weights of other
// libraries. `names` lists what is in it. "" for an unknown kind.
std::string HintOfDirectory(const std::filesystem::path& directory,
                            const std::set<std::string>& names);

}  // namespace moefy::io
