// ALBERT: BERT with narrow embeddings, whose layers share their tensors (arXiv 1909.11942). Source:
// Hugging Face transformers 5.24, configuration_albert.py and modeling_albert.py, checked against
// recorded outputs in tests/parity.
#include "model/families/families.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

void ReadAlbertConfig(const JsonObject& json, ModelConfig& config) {
  config.head = ReadHead(json, EncoderHeads());
  config.activation = config.head_activation = ReadActivation(json, "hidden_act", "gelu_new");
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = true;
  config.norm = NormKind::kLayerNorm;
  config.norm_place = NormPlace::kPost;
  config.norm_epsilon = json.GetNumber("layer_norm_eps", 0, 1, 1e-12);
  config.position = PositionKind::kLearned;
  config.embedding_width = json.GetInt("embedding_size", 1, kMaxWidth, 128);
  config.narrow_embeddings = true;
  config.num_layer_groups = json.GetInt("num_hidden_groups", 1, kMaxLayers, 1);
  if (config.num_layer_groups > config.encoder.num_layers) {
    throw InputError(json.PathOf("num_hidden_groups"), " is ", config.num_layer_groups, ", of ",
                     config.encoder.num_layers, " layers (num_hidden_layers)");
  }
  if (const int64_t inner = json.GetInt("inner_group_num", 1, kMaxLayers, 1); inner != 1) {
    throw InputError(json.PathOf("inner_group_num"), " is ", inner,
                     ": several layers in each call of a group are not supported; only 1 is");
  }
  config.num_token_types = json.GetInt("type_vocab_size", 1, kMaxWidth, 2);
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.pad_id = json.GetInt("pad_token_id", 0, config.vocab_size - 1, 0);
  ReadLabels(json, config);
}

ModelNames AlbertNames(const ModelConfig& config) {
  const std::string layer = "albert.encoder.albert_layer_groups.{}.albert_layers.0.";
  const std::string attention = layer + "attention.";
  ModelNames names;
  StackNames& stack = names.encoder;
  stack.token_embedding = "albert.embeddings.word_embeddings";
  stack.position_embedding = "albert.embeddings.position_embeddings";
  stack.token_type_embedding = "albert.embeddings.token_type_embeddings";
  stack.embedding_norm = "albert.embeddings.LayerNorm";
  stack.project_in = "albert.encoder.embedding_hidden_mapping_in";
  stack.attention = {attention + "query", attention + "key", attention + "value",
                     attention + "dense", ""};
  stack.attention_norm = attention + "LayerNorm";
  stack.w_in = layer + "ffn";
  stack.w_out = layer + "ffn_output";
  stack.ffn_norm = layer + "full_layer_layer_norm";
  names.pooler = "albert.pooler";
  names.classifier = "classifier";
  names.span_head = "qa_outputs";
  if (config.head == Head::kMaskedLanguageModel) {
    names.head_dense = "predictions.dense";
    names.head_norm = "predictions.LayerNorm";
    names.language_model_head = "predictions.decoder";
    names.logits_bias = "predictions.bias";
  }
  return names;
}

}  // namespace

Family AlbertFamily() {
  Family family;
  family.name = "albert";
  family.model_types = {"albert"};
  family.description = "as BERT, narrower embeddings, layers that share their tensors";
  family.source = "recorded outputs of transformers 5.24 (AlbertForMaskedLM)";
  family.base_prefix = "albert.";
  family.class_names = {"Albert"};
  family.unread_keys = {{"classifier_dropout_prob", "of training only"},
                        {"down_scale_factor", "nothing reads it"},
                        {"gap_size", "nothing reads it"},
                        {"layers_to_keep", "nothing reads it"},
                        {"net_structure_type", "nothing reads it"},
                        {"num_memory_blocks", "nothing reads it"}};
  family.keys = {{"vocab_size", 30000},
                 {"hidden_size", 4096},
                 {"max_position_embeddings", 512},
                 {{"num_hidden_layers", 12},
                  {"num_attention_heads", 64},
                  {},
                  {},
                  {"intermediate_size", 16384}},
                 {}};
  family.read_config = ReadAlbertConfig;
  family.names = AlbertNames;
  return family;
}

}  // namespace moefy::model
