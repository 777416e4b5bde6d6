// The entries of the family table, one file each.
#pragma once

#include "moefy/model/family.h"

namespace moefy::model {

Family T5Family();
Family BertFamily();

// Bounds every size in a config.json is held to: large enough for any model there is, small enough
// that no product of a few of them overflows.
inline constexpr int64_t kMaxWidth = 1 << 20;
inline constexpr int64_t kMaxVocab = 1 << 24;
inline constexpr int64_t kMaxLayers = 1000;

// "relu", "gelu", "gelu_new", "silu", ... as config files spell them. Error{kInput} lists them.
Activation ParseActivation(const std::string& name, const std::string& where);

// Whether the first of "architectures" ends in one of the heads we run; Error{kInput} otherwise.
Head ReadHead(const JsonObject& config);

// num_labels from id2label or num_labels (2 when neither is there), and the labels' names.
void ReadLabels(const JsonObject& config, ModelConfig& out);

}  // namespace moefy::model
