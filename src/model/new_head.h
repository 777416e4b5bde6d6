// A new head for an encoder: a checkpoint that is only pretrained, or trained for a task of another
// kind, has none that can be trained further. Thread-safe.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"

namespace moefy::model {

// True for the config.json of a family whose heads can be made anew.
bool CanHaveNewHead(const Json& config);

// True when such a config.json names this head and its tensors are there, whatever their shapes.
bool HasHead(const io::Checkpoint& checkpoint, const Json& config, Head head);

// Such a config.json with this head in place of its own: "architectures" and, for a classification,
// "num_labels", "id2label" and "label2id".
Json WithHead(Json config, Head head, const std::vector<std::string>& labels);

// Tensors of the head, by the checkpoint's names, that a new one does not take from it: the last
// layer, and what is before it (BERT's pooler) where the checkpoint has none.
std::set<std::string> NewHeadTensors(const io::Checkpoint& checkpoint, const ModelConfig& config);

}  // namespace moefy::model
