// Phi (1, 1.5 and 2). Source: Hugging Face transformers 4.44, configuration_phi.py and
// modeling_phi.py, checked against recorded outputs in tests/parity.
#include "model/families/families.h"
#include "model/families/rotary_config.h"

namespace moefy::model {
namespace {

void ReadPhiConfig(const JsonObject& json, ModelConfig& config) {
  ReadDecoderHead(json, config);
  config.activation = ReadActivation(json, "hidden_act", "gelu_new");
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = config.head_bias = true;
  config.norm = NormKind::kLayerNorm;
  config.norm_epsilon = json.GetNumber("layer_norm_eps", 0, 1, 1e-5);
  config.norm_place = NormPlace::kParallel;
  config.separate_ffn_norm = false;
  config.position_count = PositionCount::kReal;
  ReadRotary(json, {.share = "partial_rotary_factor", .default_share = 0.5}, config);
  RefuseIf(json, "qk_layernorm", true, false);
  RefuseIf(json, "tie_word_embeddings", true, false);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 2);
  config.pad_id = ReadTokenId(json, "pad_token_id", config);
}

ModelNames PhiNames(const ModelConfig&) {
  const std::string layer = "model.layers.{}.", attention = layer + "self_attn.";
  ModelNames names;
  StackNames& stack = names.decoder;
  stack.token_embedding = "model.embed_tokens";
  stack.attention_norm = layer + "input_layernorm";
  stack.attention = {attention + "q_proj", attention + "k_proj", attention + "v_proj",
                     attention + "dense", ""};
  stack.w_in = layer + "mlp.fc1";
  stack.w_out = layer + "mlp.fc2";
  stack.final_norm = "model.final_layernorm";
  names.classifier = "score";
  names.language_model_head = "lm_head";
  return names;
}

}  // namespace

Family PhiFamily() {
  Family family;
  family.name = "phi";
  family.model_types = {"phi"};
  family.class_names = {"Phi"};
  family.unread_keys = {{"max_position_embeddings", kNoPositionTable}};
  family.description = "decoder, attention and FFN side by side after one norm, partly rotary";
  family.source = "recorded outputs of transformers 4.44 and 5.24 (PhiForCausalLM)";
  family.base_prefix = "model.";
  family.keys = {{"vocab_size", 51200},
                 {"hidden_size", 2048},
                 {},
                 {},
                 {{"num_hidden_layers", 24},
                  {"num_attention_heads", 32},
                  {"num_key_value_heads"},
                  {},
                  {"intermediate_size", 8192}}};
  family.read_config = ReadPhiConfig;
  family.names = PhiNames;
  return family;
}

}  // namespace moefy::model
