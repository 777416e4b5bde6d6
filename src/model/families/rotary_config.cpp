#include "model/families/rotary_config.h"

#include <algorithm>

#include "moefy/base/error.h"

namespace moefy::model {
namespace {

constexpr const char* kFull = "full_attention";
constexpr const char* kSliding = "sliding_attention";

// Reads "rope_type" and what belongs to it.
void ReadScaling(const JsonObject& rope, RotaryConfig& out) {
  const std::string key = rope.Has("rope_type") ? "rope_type" : "type";
  const std::string type = rope.GetString(key, "default");
  if (rope.Has("type") && rope.GetString("type") != type) {
    throw InputError(rope.PathOf("type"), " is ", Quoted(rope.GetString("type")),
                     "; rope_type beside it is ", Quoted(type));
  }
  if (type != "default" && type != "linear" && type != "llama3") {
    throw InputError(rope.PathOf(key), " is ", Quoted(type),
                     "; supported: default, linear, llama3");
  }
  rope.Has("original_max_position_embeddings");  // linear and default have no use for it
  if (type == "default") return;
  out.factor = rope.GetNumber("factor", 1, 1e6);
  if (type == "linear") return;
  out.llama3 = true;
  out.low_frequency_factor = rope.GetNumber("low_freq_factor", 0, 1e6);
  out.high_frequency_factor = rope.GetNumber("high_freq_factor", 0, 1e6);
  if (out.high_frequency_factor <= out.low_frequency_factor) {
    throw InputError(rope.PathOf("high_freq_factor"), " is ", out.high_frequency_factor,
                     "; expected more than low_freq_factor, ", out.low_frequency_factor);
  }
  out.original_positions =
      static_cast<double>(rope.GetInt("original_max_position_embeddings", 1, int64_t{1} << 40));
}

double RotatedShare(const JsonObject& json, const RotaryKeys& keys) {
  return keys.share.empty() ? 1 : json.GetNumber(keys.share, 0, 1, keys.default_share);
}

// How many dimensions of a head are `share` of it.
int64_t RotatedDims(double share, const ModelConfig& config) {
  const StackConfig& stack = config.last_stack();
  const int64_t head_dim = stack.head_dim > 0 ? stack.head_dim : config.hidden / stack.num_heads;
  return static_cast<int64_t>(static_cast<double>(head_dim) * share);
}

// Reads one object of rope_parameters.
RotaryConfig ReadParameters(const JsonObject& json, const JsonObject& rope, const RotaryKeys& keys,
                            double default_base, const ModelConfig& config) {
  RotaryConfig out;
  const double top =
      keys.base.empty() ? default_base : json.GetNumber(keys.base, 1, 1e12, default_base);
  out.base = rope.GetNumber("rope_theta", 1, 1e12, top);
  double share = RotatedShare(json, keys);
  if (rope.Has("partial_rotary_factor")) {
    share = rope.GetNumber("partial_rotary_factor", 0, 1);
    if (keys.share.empty() && share != 1) {
      throw InputError(rope.PathOf("partial_rotary_factor"), " is ", share, "; models of type ",
                       Quoted(config.model_type), " rotate whole heads");
    }
  }
  out.dims = RotatedDims(share, config);
  ReadScaling(rope, out);
  rope.RefuseUnknownKeys();
  return out;
}

bool IsByLayerType(const JsonObject& rope) {
  const std::vector<std::string> names = rope.Keys();
  return !names.empty() && std::ranges::all_of(names, [&](const std::string& key) {
    return (key == kFull || key == kSliding) && rope.Has(key) && rope.GetRaw(key).is_object();
  });
}

}  // namespace

void ReadRotary(const JsonObject& json, const RotaryKeys& keys, ModelConfig& config) {
  config.position = PositionKind::kRotary;
  if (json.Has("rope_parameters")) {
    const JsonObject rope = json.GetObject("rope_parameters");
    if (json.Has("rope_scaling") && json.GetRaw("rope_scaling") != json.GetRaw("rope_parameters")) {
      throw InputError(json.PathOf("rope_scaling"), " is there beside rope_parameters, and says ",
                       "something else; one of them must go");
    }
    const bool by_type = IsByLayerType(rope);
    const auto read = [&](const char* type, double default_base) {
      return ReadParameters(json, by_type ? rope.GetObject(type) : rope, keys, default_base,
                            config);
    };
    if (!by_type || rope.Has(kFull)) config.rotary = read(kFull, keys.default_base);
    if (by_type && rope.Has(kSliding)) {
      config.local_rotary = read(kSliding, keys.default_local_base.value_or(keys.default_base));
    }
    if (by_type && !rope.Has(kFull)) config.rotary = *config.local_rotary;
  } else {
    const std::string top = keys.base.empty() ? "rope_theta" : keys.base;
    config.rotary.base = json.GetNumber(top, 1, 1e12, keys.default_base);
    config.rotary.dims = RotatedDims(RotatedShare(json, keys), config);
    if (keys.default_local_base) {
      config.local_rotary = config.rotary;  // the scaling below is not for it
      config.local_rotary->base =
          json.GetNumber(keys.local_base, 1, 1e12, *keys.default_local_base);
    }
    if (json.Has("rope_scaling")) {
      const JsonObject rope = json.GetObject("rope_scaling");
      ReadScaling(rope, config.rotary);
    }
  }
  if (config.local_rotary == config.rotary) config.local_rotary.reset();
}

void ReadLayerTypes(const JsonObject& json, ModelConfig& config,
                    const std::function<bool(int64_t layer_idx)>& is_windowed) {
  const int64_t layers = config.last_stack().num_layers;
  config.layer_attention.resize(static_cast<size_t>(layers));
  std::vector<std::string> types;
  if (json.Has("layer_types")) {
    types = json.GetStrings("layer_types");
    if (static_cast<int64_t>(types.size()) != layers) {
      throw InputError(json.PathOf("layer_types"), " has ", types.size(),
                       " entries; the model has ", layers, " layers");
    }
  }
  for (size_t i = 0; i < config.layer_attention.size(); ++i) {
    bool& windowed = config.layer_attention[i].windowed;
    windowed = is_windowed(static_cast<int64_t>(i));
    if (types.empty()) continue;
    if (types[i] != kFull && types[i] != kSliding) {
      throw InputError(json.PathOf("layer_types"), "[", i, "] is ", Quoted(types[i]),
                       "; supported: ", kFull, ", ", kSliding);
    }
    windowed = types[i] == kSliding;
    if (windowed && config.sliding_window == 0) {
      throw InputError(json.PathOf("layer_types"), "[", i, "] is ", Quoted(types[i]),
                       ", and there is no sliding_window");
    }
  }
}

}  // namespace moefy::model
