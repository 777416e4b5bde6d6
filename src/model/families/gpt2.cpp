// GPT-2. Source: Hugging Face transformers 4.44, configuration_gpt2.py and modeling_gpt2.py,
// checked against recorded outputs in tests/parity.
#include "model/families/families.h"

namespace moefy::model {
namespace {

void ReadGpt2Config(const JsonObject& json, ModelConfig& config) {
  ReadDecoderHead(json, config);
  config.activation = ReadActivation(json, "activation_function", "gelu_new");
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = true;
  config.qkv = QkvLayout::kStacked;
  config.transposed = true;
  config.norm = NormKind::kLayerNorm;
  config.norm_epsilon = json.GetNumber("layer_norm_epsilon", 0, 1, 1e-5);
  config.position = PositionKind::kLearned;
  config.position_count = PositionCount::kReal;
  config.scale_attention = json.GetBool("scale_attn_weights", true);
  config.scale_attention_by_layer = json.GetBool("scale_attn_by_inverse_layer_idx", false);
  RefuseIf(json, "add_cross_attention", true, false);
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 50256);
  config.pad_id = ReadTokenId(json, "pad_token_id", config);
}

ModelNames Gpt2Names(const ModelConfig&) {
  const std::string layer = "transformer.h.{}.";
  ModelNames names;
  StackNames& stack = names.decoder;
  stack.token_embedding = "transformer.wte";
  stack.position_embedding = "transformer.wpe";
  stack.attention_norm = layer + "ln_1";
  stack.attention.qkv = layer + "attn.c_attn";
  stack.attention.output = layer + "attn.c_proj";
  stack.ffn_norm = layer + "ln_2";
  stack.w_in = layer + "mlp.c_fc";
  stack.w_out = layer + "mlp.c_proj";
  stack.final_norm = "transformer.ln_f";
  names.classifier = "score";
  names.language_model_head = "lm_head";
  return names;
}

}  // namespace

Family Gpt2Family() {
  Family family;
  family.name = "gpt2";
  family.model_types = {"gpt2"};
  family.class_names = {"GPT2"};
  family.unread_keys = {{"n_ctx", "as long as n_positions"},
                        {"reorder_and_upcast_attn", "another order of the same sums"}};
  family.description = "decoder, learned positions; FFN matrices stored transposed";
  family.source = "recorded outputs of transformers 4.44 (GPT2LMHeadModel)";
  family.base_prefix = "transformer.";
  family.keys = {{"vocab_size", 50257},
                 {"n_embd", 768},
                 {"n_positions", 1024},
                 {},
                 {{"n_layer", 12}, {"n_head", 12}, {}, {}, {"n_inner"}}};
  family.read_config = ReadGpt2Config;
  family.names = Gpt2Names;
  return family;
}

}  // namespace moefy::model
