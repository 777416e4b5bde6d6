// What people have where moefy looks for weights, and what to do about it: for messages only.
#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace moefy::io {

// Of a path that is not there: how to get what is named like a repository of the hub, "org/name".
std::string HintOfMissing(const std::filesystem::path& path);

// Of a file that is not of a kind moefy reads, by its name. "" where it is of no known kind.
std::string HintOfFile(const std::string& name);

// Of a directory without weights that moefy reads: an adapter, the hub's cache, weights of other
// libraries. `names` are what is in it. "" where nothing is known.
std::string HintOfDirectory(const std::filesystem::path& directory,
                            const std::set<std::string>& names);

}  // namespace moefy::io
