// The entries of the family table, and what their readers of config.json share. An entry is in the
// file of its name or of the family it is built like: bert.cpp also has RoBERTa, DistilBERT and
// ELECTRA, llama.cpp Mistral and others, bart.cpp mBART and others, gemma.cpp all Gemmas, t5.cpp
// mT5 and UMT5.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/family.h"

namespace moefy::model {

Family AlbertFamily();
Family BartFamily();
Family BertFamily();
Family DebertaFamily();
Family DistilBertFamily();
Family ElectraFamily();
Family FalconFamily();
Family Gemma2Family();
Family Gemma3Family();
Family GemmaFamily();
Family Gpt2Family();
Family GptNeoXFamily();
Family GraniteFamily();
Family LlamaFamily();
Family M2M100Family();
Family MBartFamily();
Family MarianFamily();
Family MarianStudentFamily();
Family MistralFamily();
Family MixtralFamily();
Family ModernBertFamily();
Family Mt5Family();
Family NemotronFamily();
Family Olmo2Family();
Family OlmoeFamily();
Family OptFamily();
Family PegasusFamily();
Family Phi3Family();
Family PhiFamily();
Family Qwen2Family();
Family Qwen2MoeFamily();
Family Qwen3Family();
Family RobertaFamily();
Family SmolLm3Family();
Family StableLmFamily();
Family Starcoder2Family();
Family T5Family();
Family Umt5Family();

// Bounds every size in a config.json is held to: large enough for any model there is, small enough
// that no product of a few of them overflows.
inline constexpr int64_t kMaxWidth = 1 << 20;
inline constexpr int64_t kMaxVocab = 1 << 24;
inline constexpr int64_t kMaxLayers = 1000;

inline constexpr int64_t kMaxWindow = int64_t{1} << 40;
// Why max_position_embeddings has no effect on models without a table of positions.
inline constexpr const char* kNoPositionTable = "positions are computed, there is no table";

// The activation that `key` names; the threshold of "fatrelu" is in "hidden_act_param".
Activation ReadActivation(const JsonObject& json, const std::string& key,
                          const std::string& if_absent);

// The head of a model class, by the end of its name ("...ForMaskedLM"); nothing unless it is one of
// `supported`.
std::optional<Head> HeadOfClass(const std::string& class_name, const std::vector<Head>& supported);

// The head that the first of "architectures" names. Throws Error{kInput} unless it is one of
// `supported`. If that list begins with kNone, a config.json that names no class has no head.
Head ReadHead(const JsonObject& config, const std::vector<Head>& supported);

// The heads that an encoder may have, kNone first.
const std::vector<Head>& EncoderHeads();

// Reads a decoder's head: language modelling, or sequence classification with its labels.
void ReadDecoderHead(const JsonObject& json, ModelConfig& config);

// Reads num_labels from id2label or num_labels (2 when neither is there), the labels' names and,
// for sequence classification, what problem they belong to.
void ReadLabels(const JsonObject& config, ModelConfig& out);

// Whether the key is there, be its value null: null may mean something else than no key.
bool IsThere(const JsonObject& json, const std::string& key);

// A token id; -1 for null, -1 or an empty list. A list (several end tokens) gives its first id.
int64_t ReadTokenId(const JsonObject& config, const std::string& key, const ModelConfig& sizes,
                    int64_t if_absent = -1);

// Throws Error{kInput} when `key`, a switch for something the Transformer does not do, is on.
void RefuseIf(const JsonObject& config, const std::string& key, bool value, bool if_absent);

}  // namespace moefy::model
