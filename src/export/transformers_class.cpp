#include "export/transformers_class.h"

#include <algorithm>
#include <vector>

#include "model/family.h"
#include "moefy/base/error.h"

namespace moefy::exports {
namespace {

struct ClassEnd {
  const char* end;        // of a class's name
  const char* auto_name;  // the Auto class that loads it
};

// The first that fits counts.
constexpr ClassEnd kEnds[] = {
    {"ForCausalLM", "AutoModelForCausalLM"},
    {"WithLMHeadModel", "AutoModelForMaskedLM"},
    {"LMHeadModel", "AutoModelForCausalLM"},
    {"ForConditionalGeneration", "AutoModelForSeq2SeqLM"},
    {"MTModel", "AutoModelForSeq2SeqLM"},
    {"ForMaskedLM", "AutoModelForMaskedLM"},
    {"ForSequenceClassification", "AutoModelForSequenceClassification"},
    {"ForTokenClassification", "AutoModelForTokenClassification"},
    {"ForQuestionAnswering", "AutoModelForQuestionAnswering"},
    {"ForMultipleChoice", "AutoModelForMultipleChoice"},
    {"ForImageClassification", "AutoModelForImageClassification"},
    {"EncoderModel", "AutoModel"},
    {"Model", "AutoModel"},
};

// The class of a model whose config.json names none, as T5's and those of encoders without a head
// may; "" for a family that moefy does not know.
std::string DefaultClass(const model::ModelConfig& model) {
  const auto family = std::ranges::find(model::Families(), model.family, &model::Family::name);
  if (family == model::Families().end()) return "";
  const auto type = std::ranges::find(family->model_types, model.model_type);
  const auto index = static_cast<size_t>(type - family->model_types.begin());
  return family->class_names.at(std::min(index, family->class_names.size() - 1)) +
         (model.head == model::Head::kNone ? "Model" : "ForConditionalGeneration");
}

void RefuseOwnCode(const JsonObject& json) {
  if (!json.Has("auto_map")) return;
  const JsonObject map = json.GetObject("auto_map");
  for (const std::string& key : map.Keys()) {
    if (!key.starts_with("AutoModel")) continue;
    throw InputError(json.PathOf("auto_map"), " says that ", Quoted(map.GetString(key)),
                     " computes this model, which is code of its own; experts can be put into "
                     "Transformers' own classes");
  }
}

}  // namespace

TransformersClass FindTransformersClass(const Json& config, const model::ModelConfig& model,
                                        const std::string& where) {
  const JsonObject json(config, where);
  RefuseOwnCode(json);
  std::vector<std::string> named;
  if (json.Has("architectures")) named = json.GetStrings("architectures");
  const std::string name = named.empty() ? DefaultClass(model) : named.front();
  if (name.empty()) {
    throw InputError(json.PathOf("architectures"),
                     " names no class, and the family is not known; write the class of "
                     "Transformers that runs the model: \"architectures\": [\"...\"]");
  }
  std::vector<std::string> ends;
  for (const auto& [end, auto_name] : kEnds) {
    ends.push_back(StrCat("...", end));
    if (!name.ends_with(end)) continue;
    const bool is_base = std::string_view(auto_name) == "AutoModel";
    return {name, is_base ? "" : name.substr(0, name.rfind(end)) + "Model", auto_name};
  }
  throw InputError(json.PathOf("architectures"), " names ", Quoted(name),
                   ", and how that is loaded is not known; known: ", Join(ends));
}

}  // namespace moefy::exports
