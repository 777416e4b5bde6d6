// OPT, also in the layout of its 350m model: post-norm, embeddings narrower than the residual
// stream. Source: Hugging Face transformers 4.44, configuration_opt.py and modeling_opt.py, checked
// against recorded outputs in tests/parity.
#include "model/families/families.h"

namespace moefy::model {
namespace {

// OPT's position table has two rows before the first position.
constexpr int64_t kPositionOffset = 2;

void ReadOptConfig(const JsonObject& json, ModelConfig& config) {
  ReadDecoderHead(json, config);
  config.activation = ReadActivation(json, "activation_function", "relu");
  const bool biases = json.GetBool("enable_bias", true);
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = biases;
  RefuseIf(json, "layer_norm_elementwise_affine", false, true);
  config.norm = NormKind::kLayerNorm;
  config.norm_epsilon = 1e-5;
  const bool pre_norm = json.GetBool("do_layer_norm_before", true);
  config.norm_place = pre_norm ? NormPlace::kPre : NormPlace::kPost;
  const bool no_final_norm = json.GetBool("_remove_final_layer_norm", false);
  config.final_norm = pre_norm && !no_final_norm;
  config.embedding_width = json.GetInt("word_embed_proj_dim", 1, kMaxWidth, config.hidden);
  config.position = PositionKind::kLearned;
  config.position_count = PositionCount::kReal;
  config.position_offset = kPositionOffset;
  config.max_positions += kPositionOffset;
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 2);
  config.pad_id = ReadTokenId(json, "pad_token_id", config, 1);
}

ModelNames OptNames(const ModelConfig& config) {
  const std::string base = "model.decoder.", layer = base + "layers.{}.";
  const std::string attention = layer + "self_attn.";
  ModelNames names;
  StackNames& stack = names.decoder;
  stack.token_embedding = base + "embed_tokens";
  stack.position_embedding = base + "embed_positions";
  stack.attention_norm = layer + "self_attn_layer_norm";
  stack.attention = {attention + "q_proj", attention + "k_proj", attention + "v_proj",
                     attention + "out_proj", ""};
  stack.ffn_norm = layer + "final_layer_norm";
  stack.w_in = layer + "fc1";
  stack.w_out = layer + "fc2";
  if (config.final_norm) stack.final_norm = base + "final_layer_norm";
  if (config.embedding_width != config.hidden) {
    stack.project_in = base + "project_in";
    stack.project_out = base + "project_out";
  }
  names.classifier = "score";
  names.language_model_head = "lm_head";
  return names;
}

}  // namespace

Family OptFamily() {
  Family family;
  family.name = "opt";
  family.model_types = {"opt"};
  family.class_names = {"OPT"};
  family.description = "decoder, ReLU, learned positions; also the 350m layout";
  family.source = "recorded outputs of transformers 4.44 and 5.24 (OPTForCausalLM)";
  family.base_prefix = "model.";
  family.keys = {
      {"vocab_size", 50272},
      {"hidden_size", 768},
      {"max_position_embeddings", 2048},
      {},
      {{"num_hidden_layers", 12}, {"num_attention_heads", 12}, {}, {}, {"ffn_dim", 3072}}};
  family.read_config = ReadOptConfig;
  family.names = OptNames;
  return family;
}

}  // namespace moefy::model
