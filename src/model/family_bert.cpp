// BERT with a sequence classification or question answering head. Source: Hugging Face transformers
// 4.44, configuration_bert.py and modeling_bert.py, checked against recorded outputs in
// tests/parity.
#include "model/families.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

ModelConfig ReadConfig(const JsonObject& json) {
  ModelConfig config;
  config.architecture = Architecture::kEncoder;
  config.head = ReadHead(json);
  config.vocab_size = json.GetInt("vocab_size", 1, kMaxVocab, 30522);
  config.hidden = json.GetInt("hidden_size", 1, kMaxWidth, 768);
  config.num_heads = json.GetInt("num_attention_heads", 1, kMaxWidth, 12);
  if (config.hidden % config.num_heads != 0) {
    throw InputError(json.PathOf("hidden_size"), " is ", config.hidden,
                     ", which does not divide into ", config.num_heads, " attention heads");
  }
  config.head_dim = config.hidden / config.num_heads;
  config.num_neurons = json.GetInt("intermediate_size", 1, kMaxWidth, 3072);
  config.num_encoder_layers = json.GetInt("num_hidden_layers", 1, kMaxLayers, 12);
  config.activation =
      ParseActivation(json.GetString("hidden_act", "gelu"), json.PathOf("hidden_act"));
  config.biases = true;
  config.norm = NormKind::kLayerNorm;
  config.norm_place = NormPlace::kPost;
  config.norm_epsilon = json.GetNumber("layer_norm_eps", 0, 1, 1e-12);
  const std::string position = json.GetString("position_embedding_type", "absolute");
  if (position != "absolute") {
    throw InputError(json.PathOf("position_embedding_type"), " is ", Quoted(position),
                     "; only 'absolute' is supported");
  }
  config.position = PositionKind::kLearned;
  config.max_positions = json.GetInt("max_position_embeddings", 1, kMaxWidth, 512);
  config.num_token_types = json.GetInt("type_vocab_size", 1, kMaxWidth, 2);
  config.embedding_norm = true;
  config.pad_id = json.GetInt("pad_token_id", 0, config.vocab_size - 1, 0);
  ReadLabels(json, config);
  return config;
}

}  // namespace

Family BertFamily() {
  const std::string layer = "bert.encoder.layer.{}.";
  Family family;
  family.name = "bert";
  family.model_types = {"bert"};
  family.description = "encoder, post-norm; sequence classification or question answering";
  family.source =
      "recorded outputs of transformers 4.44 (BertForSequenceClassification, "
      "BertForQuestionAnswering)";
  family.read_config = ReadConfig;
  ModelNames& names = family.names;
  names.token_embedding = "bert.embeddings.word_embeddings";
  names.position_embedding = "bert.embeddings.position_embeddings";
  names.token_type_embedding = "bert.embeddings.token_type_embeddings";
  names.embedding_norm = "bert.embeddings.LayerNorm";
  names.encoder.attention = {layer + "attention.self.query", layer + "attention.self.key",
                             layer + "attention.self.value", layer + "attention.output.dense"};
  names.encoder.attention_norm = layer + "attention.output.LayerNorm";
  names.encoder.w_in = layer + "intermediate.dense";
  names.encoder.w_out = layer + "output.dense";
  names.encoder.ffn_norm = layer + "output.LayerNorm";
  names.pooler = "bert.pooler.dense";
  names.classifier = "classifier";
  names.span_head = "qa_outputs";
  return family;
}

}  // namespace moefy::model
