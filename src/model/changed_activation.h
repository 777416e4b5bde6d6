// Another activation for the FFNs of a model: what its config.json then says. Thread-safe.
#pragma once

#include "base/json.h"
#include "moefy/model/config.h"

namespace moefy::model {

// Returns the config.json of a model that has `wanted` for its activation and is the same in all
// else. Throws Error{kUsage} where the family's config.json cannot say it.
Json WithActivation(const Json& config, const Activation& wanted);

}  // namespace moefy::model
