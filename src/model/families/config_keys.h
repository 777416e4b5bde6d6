// What becomes of the keys of a config.json that its family's reader has not read.
#pragma once

#include <string>
#include <vector>

#include "model/family.h"
#include "moefy/base/json.h"

namespace moefy::model {

// Called when all readers are done with `json`. Throws Error{kInput} for a declared key whose value
// would change the outputs; `warnings` names the keys that are declared nowhere.
void CheckUnreadKeys(const JsonObject& json, const Family& family,
                     std::vector<std::string>* warnings);

}  // namespace moefy::model
