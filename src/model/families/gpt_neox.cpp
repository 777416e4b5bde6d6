// GPT-NeoX and Pythia. Source: Hugging Face transformers 4.44, configuration_gpt_neox.py and
// modeling_gpt_neox.py, checked against recorded outputs in tests/parity.
#include "model/families/families.h"
#include "model/families/rotary_config.h"

namespace moefy::model {
namespace {

void ReadGptNeoXConfig(const JsonObject& json, ModelConfig& config) {
  ReadDecoderHead(json, config);
  config.activation = ReadActivation(json, "hidden_act", "gelu");
  config.qkv_bias = config.attention_output_bias = json.GetBool("attention_bias", true);
  config.ffn_bias = true;
  config.qkv = QkvLayout::kGrouped;
  config.norm = NormKind::kLayerNorm;
  config.norm_epsilon = json.GetNumber("layer_norm_eps", 0, 1, 1e-5);
  config.norm_place =
      json.GetBool("use_parallel_residual", true) ? NormPlace::kParallel : NormPlace::kPre;
  config.position_count = PositionCount::kReal;
  ReadRotary(json, {.base = "rotary_emb_base", .share = "rotary_pct", .default_share = 0.25},
             config);
  config.tied_embeddings = json.GetBool("tie_word_embeddings", false);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 2);
  config.pad_id = ReadTokenId(json, "pad_token_id", config);
}

ModelNames GptNeoXNames(const ModelConfig&) {
  const std::string layer = "gpt_neox.layers.{}.";
  ModelNames names;
  StackNames& stack = names.decoder;
  stack.token_embedding = "gpt_neox.embed_in";
  stack.attention_norm = layer + "input_layernorm";
  stack.attention.qkv = layer + "attention.query_key_value";
  stack.attention.output = layer + "attention.dense";
  stack.ffn_norm = layer + "post_attention_layernorm";
  stack.w_in = layer + "mlp.dense_h_to_4h";
  stack.w_out = layer + "mlp.dense_4h_to_h";
  stack.final_norm = "gpt_neox.final_layer_norm";
  names.classifier = "score";
  names.language_model_head = "embed_out";
  return names;
}

}  // namespace

Family GptNeoXFamily() {
  Family family;
  family.name = "gpt_neox";
  family.model_types = {"gpt_neox"};
  family.class_names = {"GPTNeoX"};
  family.unread_keys = {{"max_position_embeddings", kNoPositionTable},
                        {"rope_theta", "the reference ignores it here"}};
  family.description = "decoder, attention and FFN side by side, partly rotary (Pythia)";
  family.source = "recorded outputs of transformers 4.44 and 5.24 (GPTNeoXForCausalLM)";
  family.base_prefix = "gpt_neox.";
  family.keys = {{"vocab_size", 50432},
                 {"hidden_size", 6144},
                 {},
                 {},
                 {{"num_hidden_layers", 44},
                  {"num_attention_heads", 64},
                  {},
                  {},
                  {"intermediate_size", 24576}}};
  family.read_config = ReadGptNeoXConfig;
  family.names = GptNeoXNames;
  return family;
}

}  // namespace moefy::model
