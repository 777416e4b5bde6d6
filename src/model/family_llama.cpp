// LLaMA and what is built like it: Mistral, Qwen2, Gemma. Source: Hugging Face transformers 4.44,
// the configuration and modeling files of each, checked against recorded outputs in tests/parity.
#include <algorithm>
#include <cmath>

#include "model/families.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

void ReadCommon(const JsonObject& json, ModelConfig& config) {
  config.head = ReadHead(json, {Head::kLanguageModel});
  config.gated = true;
  config.norm = NormKind::kRmsNorm;
  config.norm_epsilon = json.GetNumber("rms_norm_eps", 0, 1, 1e-6);
  config.position = PositionKind::kRotary;
  config.position_count = PositionCount::kReal;
  config.rotary.dims = config.decoder.head_dim > 0 ? config.decoder.head_dim
                                                   : config.hidden / config.decoder.num_heads;
  config.rotary.base = json.GetNumber("rope_theta", 1, 1e12, 10000);
  ReadRotaryScaling(json, config.rotary);
  config.tied_embeddings = json.GetBool("tie_word_embeddings", false);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 2);
  config.pad_id = ReadTokenId(json, "pad_token_id", config);
}

void ReadLlama(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config);
  config.activation = ReadActivation(json, "hidden_act", "silu");
  config.qkv_bias = config.attention_output_bias = json.GetBool("attention_bias", false);
  config.ffn_bias = json.GetBool("mlp_bias", false);
}

void ReadMistral(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config);
  config.activation = ReadActivation(json, "hidden_act", "silu");
  // Absent means 4096, null means none; GetInt() takes one for the other.
  const std::vector<std::string> keys = json.Keys();
  const bool is_null = std::find(keys.begin(), keys.end(), "sliding_window") != keys.end();
  config.sliding_window = json.GetInt("sliding_window", 1, int64_t{1} << 40, is_null ? 0 : 4096);
}

void ReadQwen2(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config);
  config.activation = ReadActivation(json, "hidden_act", "silu");
  config.qkv_bias = true;
  RefuseIf(json, "use_sliding_window", true, false);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 151645);
}

void ReadGemma(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config);
  // "hidden_act" is ignored by the reference, which wrote it into its own files in error.
  config.activation = ReadActivation(json, "hidden_activation", "gelu_pytorch_tanh");
  config.qkv_bias = config.attention_output_bias = json.GetBool("attention_bias", false);
  config.norm_weight_offset = 1;
  config.embedding_scale = std::sqrt(static_cast<double>(config.hidden));
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 1);
  config.pad_id = ReadTokenId(json, "pad_token_id", config, 0);
}

ModelNames Names(const ModelConfig&) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  ModelNames names;
  StackNames& stack = names.decoder;
  stack.token_embedding = "model.embed_tokens";
  stack.attention_norm = layer + "input_layernorm";
  stack.attention = {attention + "q_proj", attention + "k_proj", attention + "v_proj",
                     attention + "o_proj", ""};
  stack.ffn_norm = layer + "post_attention_layernorm";
  stack.w_in = layer + "mlp.up_proj";
  stack.w_gate = layer + "mlp.gate_proj";
  stack.w_out = layer + "mlp.down_proj";
  stack.final_norm = "model.norm";
  names.language_model_head = "lm_head";
  return names;
}

Family Common(const std::string& name, int64_t vocab, int64_t hidden, int64_t neurons) {
  Family family;
  family.name = name;
  family.model_types = {name};
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
  family.names = Names;
  return family;
}

}  // namespace

Family LlamaFamily() {
  Family family = Common("llama", 32000, 4096, 11008);
  family.description = "decoder, gated FFN, rotary (also Llama 3.1's), grouped-query attention";
  family.source = "recorded outputs of transformers 4.44 (LlamaForCausalLM)";
  family.read_config = ReadLlama;
  return family;
}

Family MistralFamily() {
  Family family = Common("mistral", 32000, 4096, 14336);
  family.description = "as LLaMA, with a sliding attention window";
  family.source =
      "recorded outputs of transformers 4.44 (MistralForCausalLM); the window, which those lack, "
      "against a loop";
  family.keys.decoder.kv_heads.if_absent = 8;
  family.read_config = ReadMistral;
  return family;
}

Family Qwen2Family() {
  Family family = Common("qwen2", 151936, 4096, 22016);
  family.description = "as LLaMA, with biases on queries, keys and values; no sliding window";
  family.source = "recorded outputs of transformers 4.44 (Qwen2ForCausalLM)";
  family.keys.decoder.kv_heads.if_absent = 32;
  family.read_config = ReadQwen2;
  return family;
}

Family GemmaFamily() {
  Family family = Common("gemma", 256000, 3072, 24576);
  family.description = "as LLaMA, tanh GELU, scaled and tied embeddings (version 1)";
  family.source = "recorded outputs of transformers 4.44 (GemmaForCausalLM)";
  family.keys.decoder.layers.if_absent = 28;
  family.keys.decoder.heads.if_absent = 16;
  family.keys.decoder.kv_heads.if_absent = 16;
  family.keys.decoder.head_dim.if_absent = 256;
  family.read_config = ReadGemma;
  return family;
}

}  // namespace moefy::model
