#include "model/families/foreign_classes.h"

#include <algorithm>

#include "model/activation.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// A class that computes what a family's class does, except for `change`.
struct ForeignClass {
  const char* name;
  std::vector<std::string> families;
  void (*change)(const JsonObject& json, ModelConfig& config);
};

// Applies ReLU to both factors of a gated FFN: TurboSparse, arXiv 2406.05955, section 3.1.
void ActivateBoth(const JsonObject& json, ModelConfig& config) {
  if (config.activation != Activation(Activation::kRelu)) {
    throw InputError(json.PathOf("hidden_act"), " is ", Quoted(ActivationName(config.activation)),
                     "; expected 'relu' for this class");
  }
  config.activation.on_both = true;
}

const std::vector<ForeignClass>& ForeignClasses() {
  static const std::vector<ForeignClass> classes = {
      // ProSparse: hidden_act "fatrelu" with its threshold in "hidden_act_param", which every
      // reader of hidden_act understands.
      {"SparseLlamaForCausalLM", {"llama"}, nullptr},
      {"TurboSparseMistralForCausalLM", {"mistral", "llama"}, ActivateBoth},
      {"BambooForCausalLM", {"mistral"}, ActivateBoth},
  };
  return classes;
}

const ForeignClass* FindClass(const std::string& name) {
  const auto& classes = ForeignClasses();
  const auto found = std::ranges::find(classes, name, &ForeignClass::name);
  return found == classes.end() ? nullptr : &*found;
}

// Whether `name` is a class of the family: the family's own name and a known end, or the whole name
// of what the reference has no class for.
bool IsOwnClass(const std::string& name, const Family& family) {
  constexpr std::string_view kEnds[] = {"Model",           "LMHeadModel",  "MTModel",
                                        "WithLMHeadModel", "EncoderModel", "PreTrainedModel"};
  return std::ranges::any_of(family.class_names, [&](const std::string& own) {
    if (!name.starts_with(own)) return false;
    const std::string_view end = std::string_view(name).substr(own.size());
    return end.empty() || end.starts_with("For") ||
           std::ranges::find(kEnds, end) != std::end(kEnds);
  });
}

struct NamedClass {
  std::string key;   // of config.json
  std::string name;  // "LlamaForCausalLM"
};

// The model class that "architectures" names, and those of "auto_map".
std::vector<NamedClass> NamedClasses(const JsonObject& json) {
  std::vector<NamedClass> classes;
  if (json.Has("architectures")) {
    const std::vector<std::string> names = json.GetStrings("architectures");
    if (!names.empty()) classes.push_back({"architectures", names.front()});
  }
  if (!json.Has("auto_map")) return classes;
  const JsonObject map = json.GetObject("auto_map");
  for (const std::string& key : map.Keys()) {
    if (!key.starts_with("AutoModel") || !map.Has(key)) continue;
    const std::string path = map.GetString(key);  // "repository--file.Class"
    classes.push_back({StrCat("auto_map: ", key), path.substr(path.rfind('.') + 1)});
  }
  return classes;
}

}  // namespace

void CheckClass(const JsonObject& json, const Family& family) {
  for (const auto& [key, name] : NamedClasses(json)) {
    if (IsOwnClass(name, family)) continue;
    const ForeignClass* foreign = FindClass(name);
    if (foreign && std::ranges::find(foreign->families, family.name) != foreign->families.end()) {
      continue;
    }
    std::vector<std::string> own;
    for (const std::string& start : family.class_names) own.push_back(start + "...");
    throw InputError(json.PathOf(key), " names ", Quoted(name),
                     ", a class of its own, which may compute anything", "; for model_type ",
                     Quoted(json.GetString("model_type")), " moefy runs ", Join(own),
                     ". Where the class is known to compute the same, write that name instead; "
                     "`moefy split --ffn` splits any model without running it");
  }
}

void ApplyForeignClass(const JsonObject& json, ModelConfig& config) {
  for (const auto& [key, name] : NamedClasses(json)) {
    const ForeignClass* foreign = FindClass(name);
    if (!foreign || !foreign->change) continue;
    foreign->change(json, config);
    return;
  }
}

}  // namespace moefy::model
