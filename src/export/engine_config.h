// The config.json of an exported model. Pure function.
#pragma once

#include "base/json.h"
#include "export/plan.h"
#include "moefy/model/config.h"

namespace moefy::exports {

// source: the config.json of the split checkpoint, of which keys that say nothing of the layers are
// kept as they are. dtype: of the experts' weights.
Json EngineConfig(const ExportPlan& plan, const model::ModelConfig& model, const Json& source,
                  io::DType dtype);

}  // namespace moefy::exports
