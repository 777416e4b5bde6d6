// The entries of the family table, one file each, and what they are made with.
#pragma once

#include <string>
#include <vector>

#include "moefy/model/family.h"

namespace moefy::model {

Family BartFamily();
Family BertFamily();
Family DistilBertFamily();
Family FalconFamily();
Family GemmaFamily();
Family Gpt2Family();
Family GptNeoXFamily();
Family LlamaFamily();
Family M2M100Family();
Family MarianFamily();
Family MistralFamily();
Family OptFamily();
Family PegasusFamily();
Family PhiFamily();
Family Qwen2Family();
Family RobertaFamily();
Family T5Family();

// Bounds every size in a config.json is held to: large enough for any model there is, small enough
// that no product of a few of them overflows.
inline constexpr int64_t kMaxWidth = 1 << 20;
inline constexpr int64_t kMaxVocab = 1 << 24;
inline constexpr int64_t kMaxLayers = 1000;

// The value of `key`, parsed.
Activation ReadActivation(const JsonObject& json, const std::string& key,
                          const std::string& if_absent);

// The head that the first of "architectures" names; Error{kInput} unless it is one of `supported`.
Head ReadHead(const JsonObject& config, const std::vector<Head>& supported);

// For decoders: language modelling, or sequence classification with its labels.
void ReadDecoderHead(const JsonObject& json, ModelConfig& config);

// num_labels from id2label or num_labels (2 when neither is there), and the labels' names.
void ReadLabels(const JsonObject& config, ModelConfig& out);

// "rope_scaling": none, linear or llama3; Error{kInput} for others.
void ReadRotaryScaling(const JsonObject& config, RotaryConfig& out);

// A token id, -1 when absent, null or -1. Lists (several end tokens) give their first.
int64_t ReadTokenId(const JsonObject& config, const std::string& key, const ModelConfig& sizes,
                    int64_t if_absent = -1);

// Throws Error{kInput} when `key`, a switch for something the Transformer does not do, is on.
void RefuseIf(const JsonObject& config, const std::string& key, bool value, bool if_absent);

// The name that a tensor has in the checkpoint, and the ends of its norms' names.
std::string StoredName(const ModelConfig& config, const std::string& name);
struct NormSuffixes {
  std::string weight, bias;
};
NormSuffixes SuffixesOfNorms(const ModelConfig& config);

}  // namespace moefy::model
