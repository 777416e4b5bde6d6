// StableLM, Nemotron and StarCoder2: LLaMA's layout with LayerNorm. Source: Hugging Face
// transformers 4.44 and 5.24, the configuration and modeling files of each, checked against
// recorded outputs in tests/parity.
#include "model/families/families.h"
#include "model/families/llama.h"
#include "model/families/rotary_config.h"

namespace moefy::model {
namespace {

void ReadCommon(const JsonObject& json, const std::string& epsilon_key, const RotaryKeys& rotary,
                ModelConfig& config) {
  ReadDecoderHead(json, config);
  config.norm = NormKind::kLayerNorm;
  config.norm_epsilon = json.GetNumber(epsilon_key, 0, 1, 1e-5);
  config.position_count = PositionCount::kReal;
  ReadRotary(json, rotary, config);
  config.tied_embeddings = json.GetBool("tie_word_embeddings", false);
  config.pad_id = ReadTokenId(json, "pad_token_id", config);
}

void ReadStableLm(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, "layer_norm_eps", {.share = "partial_rotary_factor", .default_share = 0.25},
             config);
  config.activation = ReadActivation(json, "hidden_act", "silu");
  config.gated = true;
  config.qkv_bias = json.GetBool("use_qkv_bias", false);
  RefuseIf(json, "qk_layernorm", true, false);
  if (json.GetBool("use_parallel_residual", false)) {
    config.norm_place = NormPlace::kParallel;
    config.separate_ffn_norm = false;
  }
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 0);
}

ModelNames StableLmNames(const ModelConfig& config) {
  ModelNames names = LlamaNames(config);
  if (!config.separate_ffn_norm) names.decoder.ffn_norm = "";
  return names;
}

void ReadNemotron(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, "norm_eps", {.share = "partial_rotary_factor", .default_share = 0.5}, config);
  config.activation = ReadActivation(json, "hidden_act", "relu2");
  config.norm_weight_offset = 1;
  config.qkv_bias = config.attention_output_bias = json.GetBool("attention_bias", false);
  config.ffn_bias = json.GetBool("mlp_bias", false);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 3);
}

void ReadStarcoder2(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, "norm_epsilon", {}, config);
  config.activation = ReadActivation(json, "hidden_act", "gelu_pytorch_tanh");
  const bool biases = json.GetBool("use_bias", true);
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = biases;
  config.sliding_window = json.GetInt("sliding_window", 1, kMaxWindow, 0);
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 50256);
}

ModelNames Starcoder2Names(const ModelConfig& config) {
  ModelNames names = LlamaNames(config);
  names.decoder.w_in = "model.layers.{}.mlp.c_fc";
  names.decoder.w_out = "model.layers.{}.mlp.c_proj";
  return names;
}

}  // namespace

Family StableLmFamily() {
  Family family = LlamaLike("stablelm", "StableLm", 50304, 2560, 6912);
  family.description = "as LLaMA, LayerNorm, partly rotary; sequential or parallel residual";
  family.source = "recorded outputs of transformers 5.24 (StableLmForCausalLM)";
  family.keys.decoder.kv_heads.if_absent = 32;
  family.read_config = ReadStableLm;
  family.names = StableLmNames;
  return family;
}

Family NemotronFamily() {
  Family family = LlamaLike("nemotron", "Nemotron", 256000, 6144, 24576);
  family.description = "decoder, squared ReLU without a gate, LayerNorm plus one, partly rotary";
  family.source = "recorded outputs of transformers 5.24 (NemotronForCausalLM)";
  family.keys.decoder.heads.if_absent = 48;
  family.read_config = ReadNemotron;
  return family;
}

Family Starcoder2Family() {
  Family family = LlamaLike("starcoder2", "Starcoder2", 49152, 3072, 12288);
  family.description = "decoder, tanh GELU, LayerNorm, biases, rotary, a sliding window";
  family.source = "recorded outputs of transformers 5.24 (Starcoder2ForCausalLM)";
  family.keys.decoder.layers.if_absent = 30;
  family.keys.decoder.heads.if_absent = 24;
  family.keys.decoder.kv_heads.if_absent = 2;
  family.read_config = ReadStarcoder2;
  const std::vector<UnreadKey> more = {
      {"attention_softmax_in_fp32", "everything is computed in F32"},
      {"scale_attention_softmax_in_fp32", "everything is computed in F32"},
      {"activation_function", "hidden_act counts"},
      {"layer_norm_epsilon", "norm_epsilon counts"},
      {"mlp_type", "FFNs would be gated", "default"},
      {"norm_type", "norms would be others", "layer_norm"},
      {"scale_attn_weights", "scores would not be scaled", true}};
  family.unread_keys.insert(family.unread_keys.end(), more.begin(), more.end());
  family.names = Starcoder2Names;
  return family;
}

}  // namespace moefy::model
