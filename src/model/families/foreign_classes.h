// Checkpoints whose config.json names a model class of their own. Thread-safe.
#pragma once

#include "base/json.h"
#include "model/family.h"

namespace moefy::model {

// Throws Error{kInput} if "architectures" or "auto_map" names a class that is neither one of the
// family's nor declared equal to one. A class of the family's own name counts as the family's, as
// in the reference unless it is told to trust the code beside the checkpoint.
void CheckClass(const JsonObject& json, const Family& family);

// Applies to `config` what a class declared equal does otherwise than its family.
void ApplyForeignClass(const JsonObject& json, ModelConfig& config);

}  // namespace moefy::model
