// Adds to the text of config.json the one key that a split checkpoint has and its source has not,
// and removes it again, so that every other byte stays. Pure functions.
#pragma once

#include <string>

namespace moefy::split {

// Adds "moefy": {"format": N} as the last key. Throws Error{kInput} when `config` is not a JSON
// object or has the key already.
std::string AddMoefyKey(const std::string& config);

// Undoes AddMoefyKey, bit for bit. Throws Error{kInput} for a text that AddMoefyKey does not leave.
std::string RemoveMoefyKey(const std::string& config);

}  // namespace moefy::split
