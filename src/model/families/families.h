// The entries of the family table, one file each, and what they are made with.
#pragma once

#include <functional>
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
Family MistralFamily();
Family ModernBertFamily();
Family Mt5Family();
Family NemotronFamily();
Family Olmo2Family();
Family OptFamily();
Family PegasusFamily();
Family Phi3Family();
Family PhiFamily();
Family Qwen2Family();
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

// The value of `key`, parsed; the threshold of "fatrelu" is in "hidden_act_param".
Activation ReadActivation(const JsonObject& json, const std::string& key,
                          const std::string& if_absent);

// The head that the first of "architectures" names; Error{kInput} unless it is one of `supported`.
// Where that begins with kNone, a config.json that names none has none.
Head ReadHead(const JsonObject& config, const std::vector<Head>& supported);

// None, and all that an encoder may have.
const std::vector<Head>& EncoderHeads();

// For decoders: language modelling, or sequence classification with its labels.
void ReadDecoderHead(const JsonObject& json, ModelConfig& config);

// num_labels from id2label or num_labels (2 when neither is there), the labels' names and, for
// sequence classification, what problem they belong to.
void ReadLabels(const JsonObject& config, ModelConfig& out);

// How a family spells its rotary positions, and the reference's defaults.
struct RotaryKeys {
  double default_base = 10000;
  std::string base = "rope_theta";  // at the top of config.json
  std::string share = {};           // of each head that is rotated; "": all of it
  double default_share = 1;
  // Of layers with a window, in families where theirs differ.
  std::optional<double> default_local_base = std::nullopt;
  std::string local_base = {};
};
// Position kind, rotary and local_rotary from "rope_parameters", or from "rope_scaling" and `keys`.
// Error{kInput} for kinds of scaling other than linear and llama3.
void ReadRotary(const JsonObject& json, const RotaryKeys& keys, ModelConfig& config);

// layer_attention from "layer_types", or from `is_windowed` where it is absent. After the window.
void ReadLayerTypes(const JsonObject& json, ModelConfig& config,
                    const std::function<bool(int64_t layer_idx)>& is_windowed);

// LLaMA's layout, which many have: its tensors' names, a Family of them (sizes are the reference's
// defaults), and what most of them read from config.json.
ModelNames LlamaNames(const ModelConfig& config);
Family LlamaLike(const std::string& name, const std::string& class_name, int64_t vocab,
                 int64_t hidden, int64_t neurons);
void ReadLlamaLike(const JsonObject& json, const RotaryKeys& rotary, ModelConfig& config);

// The key is there, if only as null: what null means differs from what its absence means.
bool IsThere(const JsonObject& json, const std::string& key);

// A token id, -1 when null, -1 or an empty list. Lists (several end tokens) give their first.
int64_t ReadTokenId(const JsonObject& config, const std::string& key, const ModelConfig& sizes,
                    int64_t if_absent = -1);

// Throws Error{kInput} when `key`, a switch for something the Transformer does not do, is on.
void RefuseIf(const JsonObject& config, const std::string& key, bool value, bool if_absent);

// The layer whose tensors the layer `layer_idx` uses: its own, or those of the first of its group
// under the group's number (ModelConfig::num_layer_groups). Source: modeling_albert.py,
// AlbertTransformer.
int64_t StoredLayer(const ModelConfig& config, int64_t num_layers, int64_t layer_idx);

// The name that a tensor has in the checkpoint, and the ends of its norms' names.
std::string StoredName(const ModelConfig& config, const std::string& name);
struct NormSuffixes {
  std::string weight, bias;
};
NormSuffixes SuffixesOfNorms(const ModelConfig& config);

}  // namespace moefy::model
