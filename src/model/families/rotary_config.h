// Rotary positions and kinds of layers in config.json, in the spelling of transformers 4
// ("rope_theta", "rope_scaling") and of 5 ("rope_parameters", of all layers or by kind of layer).
// Source: modeling_rope_utils.py of both.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "moefy/model/config.h"

namespace moefy::model {

// How a family spells its rotary positions, and the reference's defaults.
struct RotaryKeys {
  double default_base = 10000;
  std::string base = "rope_theta";  // at the top of config.json
  std::string share = {};           // of each head that is rotated; "": all of it
  double default_share = 1;
  // Layers with a window have a base of their own in some families: its default and its key.
  std::optional<double> default_local_base = std::nullopt;
  std::string local_base = {};
};

// Reads the position kind, rotary and local_rotary from "rope_parameters", or from "rope_scaling"
// and `keys`. Throws Error{kInput} for kinds of scaling other than linear and llama3.
void ReadRotary(const JsonObject& json, const RotaryKeys& keys, ModelConfig& config);

// Reads layer_attention from "layer_types", or from `is_windowed` where there is no such key. The
// window must have been read.
void ReadLayerTypes(const JsonObject& json, ModelConfig& config,
                    const std::function<bool(int64_t layer_idx)>& is_windowed);

}  // namespace moefy::model
