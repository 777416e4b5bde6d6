// The one key that a split checkpoint's config.json has and its source's has not, put in and taken
// out as text, so that every other byte stays. Pure functions.
#pragma once

#include <string>

namespace moefy::split {

// `config` with "moefy": {"format": N} as the last key. Error{kInput} when it is not a JSON object
// or has the key already.
std::string AddMoefyKey(const std::string& config);

// Undoes AddMoefyKey, bit for bit. Error{kInput} when the text is not as AddMoefyKey leaves it.
std::string RemoveMoefyKey(const std::string& config);

}  // namespace moefy::split
