// The keys of a config.json that its family's reader has not read: without effect, refused, or
// unknown. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "model/family.h"

namespace moefy::model {

// Checks the keys of `json` when all readers are done with it. Throws Error{kInput} for a declared
// key whose value would change the outputs; `warnings` hears of the keys that no table declares.
void CheckUnreadKeys(const JsonObject& json, const Family& family,
                     std::vector<std::string>* warnings);

}  // namespace moefy::model
