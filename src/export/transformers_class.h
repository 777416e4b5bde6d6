// Which class of Transformers a checkpoint is of, and by which of its Auto classes people load it.
// Pure functions.
#pragma once

#include <string>

#include "base/json.h"
#include "moefy/model/config.h"

namespace moefy::exports {

struct TransformersClass {
  std::string name;       // "BertForSequenceClassification"
  std::string base_name;  // "BertModel"; "" where the class is the base itself
  std::string auto_name;  // "AutoModelForSequenceClassification"
};

// By the first of config.json's "architectures" or, if it names none, by the family and the head.
// Throws Error{kInput} for a model whose class is code of its own (auto_map), and for a class that
// no Auto class is known for. `where` is config.json's path, for messages.
TransformersClass FindTransformersClass(const Json& config, const model::ModelConfig& model,
                                        const std::string& where);

}  // namespace moefy::exports
