#include "model/new_head.h"

#include <algorithm>

#include "model/expected_tensors.h"
#include "model/families/families.h"
#include "model/stored_names.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// The family's class name ("Bert"), or "" if its heads cannot be made anew.
std::string ClassName(const Json& config) {
  if (!config.is_object() || !config.contains("model_type")) return "";
  for (const Family& family : Families()) {
    if (!family.keys.decoder.layers.key.empty()) continue;
    for (size_t i = 0; i < family.class_names.size(); ++i) {
      if (config.at("model_type") == family.model_types[i]) return family.class_names[i];
    }
  }
  return "";
}

std::string ArchitectureName(const Json& config, Head head) {
  MOEFY_CHECK(head == Head::kQuestionAnswering || head == Head::kSequenceClassification);
  return ClassName(config) +
         (head == Head::kQuestionAnswering ? "ForQuestionAnswering" : "ForSequenceClassification");
}

}  // namespace

bool CanHaveNewHead(const Json& config) { return !ClassName(config).empty(); }

bool HasHead(const io::Checkpoint& checkpoint, const Json& config, Head head) {
  const Json named = config.value("architectures", Json::array());
  if (!named.is_array() || named.empty() || named.front() != ArchitectureName(config, head)) {
    return false;
  }
  const std::set<std::string> tensors =
      NewHeadTensors(checkpoint, ReadModelConfig(checkpoint, config));
  return std::all_of(tensors.begin(), tensors.end(),
                     [&](const std::string& name) { return checkpoint.Find(name) != nullptr; });
}

Json WithHead(Json config, Head head, const std::vector<std::string>& labels) {
  config["architectures"] = Json::array({ArchitectureName(config, head)});
  for (const char* key : {"num_labels", "id2label", "label2id", "problem_type"}) config.erase(key);
  if (head == Head::kQuestionAnswering) return config;
  config["num_labels"] = labels.size();
  Json names = Json::object(), idxs = Json::object();
  for (size_t i = 0; i < labels.size(); ++i) {
    names[std::to_string(i)] = labels[i];
    idxs[labels[i]] = i;
  }
  config["id2label"] = std::move(names);
  config["label2id"] = std::move(idxs);
  return config;
}

std::set<std::string> NewHeadTensors(const io::Checkpoint& checkpoint, const ModelConfig& config) {
  const ModelNames names = GetFamily(config.family).names(config);
  const std::string& last =
      config.head == Head::kQuestionAnswering ? names.span_head : names.classifier;
  const std::vector<std::string> before = {names.pooler, names.head_dense, names.head_norm};
  std::set<std::string> made;
  for (const ExpectedTensor& tensor : ExpectedTensors(config)) {
    const auto is_of = [&](const std::string& part) {
      return !part.empty() && tensor.name.starts_with(StoredName(config, part) + ".");
    };
    const bool missing = std::ranges::any_of(before, is_of) && !checkpoint.Find(tensor.name);
    if (is_of(last) || missing) made.insert(tensor.name);
  }
  return made;
}

}  // namespace moefy::model
