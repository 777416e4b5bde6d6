// Falcon with rotary positions, in both of its layouts: 7B (one key head, one norm) and 40B (groups
// of heads, two norms). Source: Hugging Face transformers 4.44, configuration_falcon.py and
// modeling_falcon.py, checked against recorded outputs in tests/parity.
#include "model/families/families.h"
#include "model/families/rotary_config.h"

namespace moefy::model {
namespace {

void ReadFalconConfig(const JsonObject& json, ModelConfig& config) {
  ReadDecoderHead(json, config);
  config.activation = ReadActivation(json, "activation", "gelu");
  const bool biases = json.GetBool("bias", false);
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = biases;
  config.qkv = QkvLayout::kGrouped;
  config.norm = NormKind::kLayerNorm;
  config.norm_epsilon = json.GetNumber("layer_norm_epsilon", 0, 1, 1e-5);
  // The layout decides which keys count, as in the reference: the new one ignores "multi_query" and
  // "parallel_attn", the old one "num_kv_heads".
  StackConfig& stack = config.decoder;
  // The 40B model was called RefinedWeb before "new_decoder_architecture" was said.
  const bool grouped = json.GetBool("new_decoder_architecture", config.model_type == "RefinedWeb");
  const bool parallel = grouped || json.GetBool("parallel_attn", true);
  if (grouped) {
    const std::string key = json.Has("n_head_kv") ? "n_head_kv" : "num_kv_heads";
    stack.num_kv_heads = json.GetInt(key, 1, kMaxWidth, stack.num_heads);
    config.separate_ffn_norm = json.GetInt("num_ln_in_parallel_attn", 1, 2, 2) == 2;
  } else {
    stack.num_kv_heads = json.GetBool("multi_query", true) ? 1 : stack.num_heads;
    config.separate_ffn_norm = !parallel;
  }
  config.norm_place = parallel ? NormPlace::kParallel : NormPlace::kPre;
  RefuseIf(json, "alibi", true, false);
  config.position_count = PositionCount::kReal;
  ReadRotary(json, {}, config);
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 11);
  config.pad_id = ReadTokenId(json, "pad_token_id", config);
}

ModelNames FalconNames(const ModelConfig& config) {
  const std::string layer = "transformer.h.{}.";
  const bool two_parallel_norms =
      config.norm_place == NormPlace::kParallel && config.separate_ffn_norm;
  ModelNames names;
  StackNames& stack = names.decoder;
  stack.token_embedding = "transformer.word_embeddings";
  stack.attention_norm = layer + (two_parallel_norms ? "ln_attn" : "input_layernorm");
  stack.attention.qkv = layer + "self_attention.query_key_value";
  stack.attention.output = layer + "self_attention.dense";
  if (config.separate_ffn_norm) {
    stack.ffn_norm = layer + (two_parallel_norms ? "ln_mlp" : "post_attention_layernorm");
  }
  stack.w_in = layer + "mlp.dense_h_to_4h";
  stack.w_out = layer + "mlp.dense_4h_to_h";
  stack.final_norm = "transformer.ln_f";
  names.classifier = "score";
  names.language_model_head = "lm_head";
  return names;
}

}  // namespace

Family FalconFamily() {
  Family family;
  family.name = "falcon";
  family.model_types = {"falcon", "RefinedWebModel", "RefinedWeb"};
  family.class_names = {"Falcon", "RW", "RW"};
  family.description =
      "decoder, attention and FFN side by side, rotary; 7B and 40B layouts; ReluFalcon";
  family.source = "recorded outputs of transformers 4.44 and 5.24 (FalconForCausalLM)";
  family.base_prefix = "transformer.";
  family.keys = {{"vocab_size", 65024},
                 {"hidden_size", 4544},
                 {},
                 {},
                 {{"num_hidden_layers", 32, "n_layer"},
                  {"num_attention_heads", 71, "n_head"},
                  {},
                  {},
                  {"ffn_hidden_size"}}};
  constexpr const char* kOtherLayout = "of no meaning in this one of the two layouts";
  family.unread_keys = {{"max_position_embeddings", kNoPositionTable},
                        {"num_kv_heads", kOtherLayout},
                        {"n_head_kv", kOtherLayout},
                        {"multi_query", kOtherLayout},
                        {"parallel_attn", kOtherLayout},
                        {"num_ln_in_parallel_attn", kOtherLayout},
                        {"hidden_act", "this family's key is \"activation\"", "gelu"},
                        {"activation_function", "this family's key is \"activation\"", "gelu"},
                        {"apply_residual_connection_post_layernorm",
                         "the residual stream would start behind the norm", false}};
  family.read_config = ReadFalconConfig;
  family.names = FalconNames;
  return family;
}

}  // namespace moefy::model
