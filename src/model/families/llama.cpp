// LLaMA and what is built like it: Mistral, Qwen2, Qwen3, SmolLM3, Granite, OLMo 2. Source: Hugging
// Face transformers 4.44 and 5.24, the configuration and modeling files of each, checked against
// recorded outputs in tests/parity.
#include "model/families/llama.h"

#include "model/families/families.h"
#include "model/families/rotary_config.h"
#include "moefy/base/error.h"

namespace moefy::model {

ModelNames LlamaNames(const ModelConfig& config) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  ModelNames names;
  StackNames& stack = names.decoder;
  stack.token_embedding = "model.embed_tokens";
  stack.attention_norm = layer + "input_layernorm";
  stack.attention = {attention + "q_proj", attention + "k_proj", attention + "v_proj",
                     attention + "o_proj", ""};
  if (config.qk_norm != QkNorm::kNone) {
    stack.attention.query_norm = attention + "q_norm";
    stack.attention.key_norm = attention + "k_norm";
  }
  stack.ffn_norm = layer + "post_attention_layernorm";
  stack.w_in = layer + "mlp.up_proj";
  if (config.gated) stack.w_gate = layer + "mlp.gate_proj";
  stack.w_out = layer + "mlp.down_proj";
  stack.final_norm = "model.norm";
  names.classifier = "score";
  names.language_model_head = "lm_head";
  return names;
}

Family LlamaLike(const std::string& name, const std::string& class_name, int64_t vocab,
                 int64_t hidden, int64_t neurons) {
  Family family;
  family.name = name;
  family.model_types = {name};
  family.class_names = {class_name};
  family.base_prefix = "model.";
  family.keys = {{"vocab_size", vocab},
                 {"hidden_size", hidden},
                 {},
                 {},
                 {{"num_hidden_layers", 32},
                  {"num_attention_heads", 32},
                  {"num_key_value_heads"},
                  {"head_dim"},
                  {"intermediate_size", neurons}}};
  family.names = LlamaNames;
  family.unread_keys = {{"max_position_embeddings", kNoPositionTable}};
  return family;
}

void ReadLlamaLike(const JsonObject& json, const RotaryKeys& rotary, ModelConfig& config) {
  ReadDecoderHead(json, config);
  config.activation = ReadActivation(json, "hidden_act", "silu");
  config.gated = true;
  config.norm = NormKind::kRmsNorm;
  config.norm_epsilon = json.GetNumber("rms_norm_eps", 0, 1, 1e-6);
  config.position_count = PositionCount::kReal;
  ReadRotary(json, rotary, config);
  config.tied_embeddings = json.GetBool("tie_word_embeddings", false);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 2);
  config.pad_id = ReadTokenId(json, "pad_token_id", config);
}

namespace {

void ReadBiases(const JsonObject& json, ModelConfig& config) {
  config.qkv_bias = config.attention_output_bias = json.GetBool("attention_bias", false);
}

void ReadLlama(const JsonObject& json, ModelConfig& config) {
  ReadLlamaLike(json, {}, config);
  ReadBiases(json, config);
  config.ffn_bias = json.GetBool("mlp_bias", false);
}

void ReadMistral(const JsonObject& json, ModelConfig& config) {
  ReadLlamaLike(json, {}, config);
  // Without the key the window is 4096; null means none.
  config.sliding_window =
      json.GetInt("sliding_window", 1, kMaxWindow, IsThere(json, "sliding_window") ? 0 : 4096);
}

// Reads the window that the layers from max_window_layers on have, if it is switched on.
void ReadQwenWindow(const JsonObject& json, ModelConfig& config) {
  const int64_t first = json.GetInt("max_window_layers", 0, kMaxWindow, 28);
  // A window that is off may be written as null or 0.
  const int64_t window =
      json.GetInt("sliding_window", 0, kMaxWindow, IsThere(json, "sliding_window") ? 0 : 4096);
  if (json.GetBool("use_sliding_window", false)) config.sliding_window = window;
  ReadLayerTypes(json, config, [&](int64_t i) { return config.sliding_window > 0 && i >= first; });
}

void ReadQwen2(const JsonObject& json, ModelConfig& config) {
  ReadLlamaLike(json, {}, config);
  config.qkv_bias = true;
  ReadQwenWindow(json, config);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 151645);
}

void ReadQwen3(const JsonObject& json, ModelConfig& config) {
  ReadLlamaLike(json, {}, config);
  ReadBiases(json, config);
  config.qk_norm = QkNorm::kHead;
  ReadQwenWindow(json, config);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 151645);
}

// Every fourth layer, or each one that no_rope_layers names, has no rotary positions.
void ReadSmolLm3(const JsonObject& json, ModelConfig& config) {
  ReadLlamaLike(json, {.default_base = 2000000}, config);
  ReadBiases(json, config);
  config.ffn_bias = json.GetBool("mlp_bias", false);
  const int64_t layers = config.decoder.num_layers;
  const int64_t interval = json.GetInt("no_rope_layer_interval", 1, kMaxLayers, 4);
  std::vector<int64_t> rotary;
  for (int64_t i = 0; i < layers; ++i) rotary.push_back((i + 1) % interval != 0);
  if (json.Has("no_rope_layers")) rotary = json.GetInts("no_rope_layers", 0, 1);
  if (static_cast<int64_t>(rotary.size()) != layers) {
    throw InputError(json.PathOf("no_rope_layers"), " has ", rotary.size(),
                     " entries; the model has ", layers, " layers");
  }
  const int64_t window = json.GetInt("sliding_window", 0, kMaxWindow, 0);
  if (json.GetBool("use_sliding_window", false)) config.sliding_window = window;
  ReadLayerTypes(json, config, [&](int64_t i) {
    return config.sliding_window > 0 && rotary[static_cast<size_t>(i)] == 0;
  });
  for (size_t i = 0; i < rotary.size(); ++i) config.layer_attention[i].rotary = rotary[i] != 0;
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 128001);
  config.pad_id = ReadTokenId(json, "pad_token_id", config, 128004);
}

void ReadGranite(const JsonObject& json, ModelConfig& config) {
  constexpr double kLeast = 1e-9, kMost = 1e9;
  ReadLlamaLike(json, {}, config);
  ReadBiases(json, config);
  config.ffn_bias = json.GetBool("mlp_bias", false);
  config.embedding_scale = json.GetNumber("embedding_multiplier", kLeast, kMost, 1);
  config.attention_scale = json.GetNumber("attention_multiplier", kLeast, kMost, 1);
  config.residual_scale = json.GetNumber("residual_multiplier", kLeast, kMost, 1);
  config.logits_scale = 1 / json.GetNumber("logits_scaling", kLeast, kMost, 1);
}

void ReadOlmo2(const JsonObject& json, ModelConfig& config) {
  ReadLlamaLike(json, {}, config);
  ReadBiases(json, config);
  config.norm_epsilon = json.GetNumber("rms_norm_eps", 0, 1, 1e-5);
  config.qk_norm = QkNorm::kAll;
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 50279);
  config.pad_id = ReadTokenId(json, "pad_token_id", config, 1);
}

// The norms stand behind the sub-layers; there is none before.
ModelNames Olmo2Names(const ModelConfig& config) {
  ModelNames names = LlamaNames(config);
  StackNames& stack = names.decoder;
  stack.attention_norm = stack.ffn_norm = "";
  stack.attention_post_norm = "model.layers.{}.post_attention_layernorm";
  stack.ffn_post_norm = "model.layers.{}.post_feedforward_layernorm";
  return names;
}

}  // namespace

Family LlamaFamily() {
  Family family = LlamaLike("llama", "Llama", 32000, 4096, 11008);
  family.description =
      "decoder, gated FFN, rotary (also Llama 3.1's), grouped-query attention; ProSparse, "
      "ReluLLaMA";
  family.source = "recorded outputs of transformers 4.44 and 5.24 (LlamaForCausalLM)";
  family.read_config = ReadLlama;
  family.unread_keys.push_back({"is_llama_config", "says what model_type says"});
  family.unread_keys.push_back({"rope_interleaved", "neighbours would be rotated", false});
  return family;
}

Family MistralFamily() {
  Family family = LlamaLike("mistral", "Mistral", 32000, 4096, 14336);
  family.model_types = {"mistral", "bamboo"};
  family.class_names = {"Mistral", "Bamboo"};
  family.description = "as LLaMA, with a sliding attention window; TurboSparse (Bamboo)";
  family.source =
      "recorded outputs of transformers 4.44 and 5.24 (MistralForCausalLM); Bamboo's FFN: its "
      "paper";
  family.keys.decoder.kv_heads.if_absent = 8;
  family.read_config = ReadMistral;
  return family;
}

Family Qwen2Family() {
  Family family = LlamaLike("qwen2", "Qwen2", 151936, 4096, 22016);
  family.description = "as LLaMA, with biases on queries, keys and values (also Qwen2.5)";
  family.source = "recorded outputs of transformers 4.44 and 5.24 (Qwen2ForCausalLM)";
  family.keys.decoder.kv_heads.if_absent = 32;
  family.read_config = ReadQwen2;
  family.unread_keys.push_back({"use_mrope", "positions would have three parts", false});
  return family;
}

Family Qwen3Family() {
  Family family = LlamaLike("qwen3", "Qwen3", 151936, 4096, 22016);
  family.description = "as LLaMA, queries and keys normed head by head";
  family.source = "recorded outputs of transformers 5.24 (Qwen3ForCausalLM)";
  family.keys.decoder.kv_heads.if_absent = 32;
  family.keys.decoder.head_dim.if_absent = 128;
  family.read_config = ReadQwen3;
  return family;
}

Family SmolLm3Family() {
  Family family = LlamaLike("smollm3", "SmolLM3", 128256, 2048, 11008);
  family.description = "as LLaMA, every fourth layer without rotary positions";
  family.source = "recorded outputs of transformers 5.24 (SmolLM3ForCausalLM)";
  family.keys.decoder.layers.if_absent = 36;
  family.keys.decoder.heads.if_absent = 16;
  family.keys.decoder.kv_heads.if_absent = 4;
  family.read_config = ReadSmolLm3;
  family.unread_keys.push_back({"max_window_layers", "windows follow no_rope_layers here"});
  return family;
}

Family GraniteFamily() {
  Family family = LlamaLike("granite", "Granite", 32000, 4096, 11008);
  family.description = "as LLaMA, with factors on embeddings, scores, residual sums and logits";
  family.source = "recorded outputs of transformers 5.24 (GraniteForCausalLM)";
  family.read_config = ReadGranite;
  return family;
}

Family Olmo2Family() {
  Family family = LlamaLike("olmo2", "Olmo2", 50304, 4096, 11008);
  family.description = "as LLaMA, normed after the sub-layers; queries and keys normed as a whole";
  family.source = "recorded outputs of transformers 5.24 (Olmo2ForCausalLM)";
  family.read_config = ReadOlmo2;
  family.names = Olmo2Names;
  return family;
}

}  // namespace moefy::model
