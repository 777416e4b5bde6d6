#include "model/changed_activation.h"

#include <algorithm>
#include <array>

#include "model/activation.h"
#include "model/family.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// The keys by which families name the activation of their FFNs.
constexpr std::array<const char*, 5> kKeys = {
    "hidden_act", "activation_function", "hidden_activation", "activation", "feed_forward_proj"};
// The class whose FFNs apply ReLU to both factors (model/families/foreign_classes).
constexpr const char* kBothClass = "TurboSparseMistralForCausalLM";

// config.json with `wanted` under one of the keys.
Json WithKey(Json config, const char* key, const ModelConfig& now, const Activation& wanted) {
  Activation plain = wanted;
  plain.on_both = false;
  std::string name = ActivationName(plain);
  if (plain.kind == Activation::kFatRelu) {
    name = "fatrelu";
    config["hidden_act_param"] = plain.threshold;
  }
  // T5's config class makes dense_act_fn of feed_forward_proj and lets the file overrule it.
  if (config.contains("dense_act_fn")) config["dense_act_fn"] = name;
  if (wanted.on_both) config["architectures"] = Json::array({kBothClass});
  if (now.activation.on_both && !wanted.on_both) {
    const std::string& own = GetFamily(now.family).class_names.front();
    config["architectures"] = Json::array({own + "ForCausalLM"});
  }
  config[key] = std::string_view(key) == "feed_forward_proj" && now.gated ? "gated-" + name : name;
  return config;
}

bool Says(const Json& config, const Activation& wanted) {
  try {
    return ParseModelConfig(config, "config.json").activation == wanted;
  } catch (const Error&) {
    return false;  // the family's reader refuses the key's value, or the class
  }
}

}  // namespace

Json WithActivation(const Json& config, const Activation& wanted) {
  const ModelConfig now = ParseModelConfig(config, "config.json");
  if (now.activation == wanted) return config;
  std::array<const char*, kKeys.size()> keys = kKeys;
  std::ranges::stable_partition(keys, [&](const char* key) { return config.contains(key); });
  for (const char* key : keys) {
    Json changed = WithKey(config, key, now, wanted);
    if (Says(changed, wanted)) return changed;
  }
  throw UsageError("the config.json of a ", now.family, " model cannot say that its activation is ",
                   Quoted(ActivationName(wanted)), "; it is ",
                   Quoted(ActivationName(now.activation)));
}

}  // namespace moefy::model
