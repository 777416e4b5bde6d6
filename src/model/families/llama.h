// LLaMA's layout, which many families have.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "model/families/rotary_config.h"
#include "model/family.h"

namespace moefy::model {

// The names of the tensors.
ModelNames LlamaNames(const ModelConfig& config);
// A Family of this layout; the sizes are the reference's defaults.
Family LlamaLike(const std::string& name, const std::string& class_name, int64_t vocab,
                 int64_t hidden, int64_t neurons);
// Reads what most families of this layout have in config.json.
void ReadLlamaLike(const JsonObject& json, const RotaryKeys& rotary, ModelConfig& config);

}  // namespace moefy::model
