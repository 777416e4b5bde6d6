// Gemma, Gemma 2 and Gemma 3 (text). Source: Hugging Face transformers 4.44 and 5.24, the
// configuration and modeling files of each, checked against recorded outputs in tests/parity.
#include <cmath>

#include "model/activation.h"
#include "model/families/families.h"
#include "model/families/llama.h"
#include "model/families/rotary_config.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// The number before the first dot of "transformers_version"; 0 if there is none.
int64_t WrittenBy(const JsonObject& json) {
  const std::string version = json.GetString("transformers_version", "");
  int64_t major = 0;
  for (const char c : version) {
    if (c < '0' || c > '9' || major > 1000) break;
    major = 10 * major + (c - '0');
  }
  return major;
}

// Gemma 1 had "hidden_act" in its files in error: transformers 4 ignores it for
// "hidden_activation", 5 reads it, with "gelu" for the tanh form, and ignores the other.
Activation ReadGemmaActivation(const JsonObject& json) {
  constexpr const char* kTanh = "gelu_pytorch_tanh";
  const bool new_files = WrittenBy(json) >= 5;
  json.Has("hidden_act");
  json.Has("hidden_activation");
  if (!new_files) return ReadActivation(json, "hidden_activation", kTanh);
  if (json.GetString("hidden_act", "gelu") == "gelu") {
    return ParseActivation(kTanh, json.PathOf("hidden_act"));
  }
  return ReadActivation(json, "hidden_act", kTanh);
}

void ReadCommon(const JsonObject& json, const RotaryKeys& rotary, ModelConfig& config) {
  ReadDecoderHead(json, config);
  config.gated = true;
  config.norm = NormKind::kRmsNorm;
  config.norm_epsilon = json.GetNumber("rms_norm_eps", 0, 1, 1e-6);
  config.norm_weight_offset = 1;
  config.position_count = PositionCount::kReal;
  ReadRotary(json, rotary, config);
  config.qkv_bias = config.attention_output_bias = json.GetBool("attention_bias", false);
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden));
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 1);
  config.pad_id = ReadTokenId(json, "pad_token_id", config, 0);
}

void ReadGemma(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, {}, config);
  config.activation = ReadGemmaActivation(json);
}

// A null means none; without the key the default counts.
double ReadSoftcap(const JsonObject& json, const std::string& key, double if_absent) {
  return json.GetNumber(key, 1e-9, 1e9, IsThere(json, key) ? 0 : if_absent);
}

void ReadAttention(const JsonObject& json, double default_attention_cap, double default_logits_cap,
                   ModelConfig& config) {
  config.activation = ReadActivation(json, "hidden_activation", "gelu_pytorch_tanh");
  config.attention_softcap = ReadSoftcap(json, "attn_logit_softcapping", default_attention_cap);
  config.logits_softcap = ReadSoftcap(json, "final_logit_softcapping", default_logits_cap);
  config.attention_scale = 1 / std::sqrt(json.GetNumber("query_pre_attn_scalar", 1e-9, 1e9, 256));
  config.sliding_window =
      json.GetInt("sliding_window", 1, kMaxWindow, IsThere(json, "sliding_window") ? 0 : 4096);
}

void ReadGemma2(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, {}, config);
  ReadAttention(json, 50, 30, config);
  ReadLayerTypes(json, config, [&](int64_t i) { return config.sliding_window > 0 && i % 2 == 0; });
}

void ReadGemma3(const JsonObject& json, ModelConfig& config) {
  ReadCommon(
      json,
      {.default_base = 1000000, .default_local_base = 10000, .local_base = "rope_local_base_freq"},
      config);
  ReadAttention(json, 0, 0, config);
  config.qk_norm = QkNorm::kHead;
  const std::string key =
      json.Has("sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern";
  const int64_t period = json.GetInt(key, 1, kMaxLayers, 6);
  ReadLayerTypes(json, config,
                 [&](int64_t i) { return config.sliding_window > 0 && (i + 1) % period != 0; });
}

// Names of layers that are normed before and after each sub-layer.
ModelNames GemmaNames(const ModelConfig& config) {
  const std::string layer = "model.layers.{}.";
  ModelNames names = LlamaNames(config);
  StackNames& stack = names.decoder;
  stack.attention_post_norm = layer + "post_attention_layernorm";
  stack.ffn_norm = layer + "pre_feedforward_layernorm";
  stack.ffn_post_norm = layer + "post_feedforward_layernorm";
  return names;
}

Family GemmaLike(const std::string& name, const std::string& class_name, int64_t vocab,
                 int64_t hidden, int64_t neurons, int64_t layers, int64_t heads, int64_t kv_heads) {
  Family family = LlamaLike(name, class_name, vocab, hidden, neurons);
  family.keys.decoder.layers.if_absent = layers;
  family.keys.decoder.heads.if_absent = heads;
  family.keys.decoder.kv_heads.if_absent = kv_heads;
  family.keys.decoder.head_dim.if_absent = 256;
  return family;
}

void AddUnreadKeys(Family& family) {
  family.unread_keys.push_back({"hidden_act", "hidden_activation counts"});
  family.unread_keys.push_back({"cache_implementation", "how keys and values are kept"});
}

}  // namespace

Family GemmaFamily() {
  Family family = GemmaLike("gemma", "Gemma", 256000, 3072, 24576, 28, 16, 16);
  family.description = "as LLaMA, tanh GELU, scaled and tied embeddings (version 1)";
  family.source = "recorded outputs of transformers 4.44 and 5.24 (GemmaForCausalLM)";
  family.read_config = ReadGemma;
  return family;
}

Family Gemma2Family() {
  Family family = GemmaLike("gemma2", "Gemma2", 256000, 2304, 9216, 26, 8, 4);
  family.description = "as Gemma, a window in every second layer, four norms, capped logits";
  family.source = "recorded outputs of transformers 5.24 (Gemma2ForCausalLM)";
  family.read_config = ReadGemma2;
  family.names = GemmaNames;
  AddUnreadKeys(family);
  return family;
}

Family Gemma3Family() {
  Family family = GemmaLike("gemma3_text", "Gemma3", 262208, 2304, 9216, 26, 8, 4);
  family.description =
      "as Gemma 2, windows and positions of their own in five layers of six (text models only)";
  family.source = "recorded outputs of transformers 5.24 (Gemma3ForCausalLM)";
  family.read_config = ReadGemma3;
  family.names = GemmaNames;
  family.unread_keys.push_back({"_sliding_window_pattern", "layer_types says it"});
  AddUnreadKeys(family);
  return family;
}

}  // namespace moefy::model
