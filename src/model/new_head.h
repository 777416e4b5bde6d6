// A new head for an encoder whose checkpoint has none that can be trained further, because it is
// only pretrained or was trained for a task of another kind. Thread-safe.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"

namespace moefy::model {

// Whether config.json is of a family whose heads can be made anew.
bool CanHaveNewHead(const Json& config);

// Whether such a config.json names this head and its tensors are there, whatever their shapes.
bool HasHead(const io::Checkpoint& checkpoint, const Json& config, Head head);

// Replaces the head in such a config.json: "architectures" and, for a classification, "num_labels",
// "id2label" and "label2id".
Json WithHead(Json config, Head head, const std::vector<std::string>& labels);

// The tensors of the head, by the checkpoint's names, that must be made anew: those of the last
// layer, and those of the layer before it (BERT's pooler) if the checkpoint has none.
std::set<std::string> NewHeadTensors(const io::Checkpoint& checkpoint, const ModelConfig& config);

}  // namespace moefy::model
