// BERT, RoBERTa and DistilBERT with a sequence classification or question answering head. Source:
// Hugging Face transformers 4.44, configuration and modeling files of each, checked against
// recorded outputs in tests/parity.
#include "model/families.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

void ReadCommon(const JsonObject& json, ModelConfig& config) {
  config.head = ReadHead(json, {Head::kSequenceClassification, Head::kQuestionAnswering});
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = config.head_bias = true;
  config.norm = NormKind::kLayerNorm;
  config.norm_place = NormPlace::kPost;
  config.norm_epsilon = 1e-12;
  config.position = PositionKind::kLearned;
  ReadLabels(json, config);
}

void ReadBert(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config);
  config.activation = ReadActivation(json, "hidden_act", "gelu");
  config.norm_epsilon = json.GetNumber("layer_norm_eps", 0, 1, 1e-12);
  const std::string position = json.GetString("position_embedding_type", "absolute");
  if (position != "absolute") {
    throw InputError(json.PathOf("position_embedding_type"), " is ", Quoted(position),
                     "; only 'absolute' is supported");
  }
  config.num_token_types = json.GetInt("type_vocab_size", 1, kMaxWidth, 2);
  config.pad_id = json.GetInt("pad_token_id", 0, config.vocab_size - 1, 0);
}

void ReadRoberta(const JsonObject& json, ModelConfig& config) {
  ReadBert(json, config);
  config.pad_id = json.GetInt("pad_token_id", 0, config.vocab_size - 1, 1);
  config.position_count = PositionCount::kNotPad;
  config.position_offset = config.pad_id + 1;
}

void ReadDistilBert(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config);
  config.activation = ReadActivation(json, "activation", "gelu");
  config.relu_pooler = true;
  config.pad_id = json.GetInt("pad_token_id", 0, config.vocab_size - 1, 0);
}

StackNames BertStack(const std::string& base) {
  const std::string layer = base + "encoder.layer.{}.";
  StackNames names;
  names.token_embedding = base + "embeddings.word_embeddings";
  names.position_embedding = base + "embeddings.position_embeddings";
  names.token_type_embedding = base + "embeddings.token_type_embeddings";
  names.embedding_norm = base + "embeddings.LayerNorm";
  names.attention = {layer + "attention.self.query", layer + "attention.self.key",
                     layer + "attention.self.value", layer + "attention.output.dense", ""};
  names.attention_norm = layer + "attention.output.LayerNorm";
  names.w_in = layer + "intermediate.dense";
  names.w_out = layer + "output.dense";
  names.ffn_norm = layer + "output.LayerNorm";
  return names;
}

ModelNames BertNames(const ModelConfig&) {
  ModelNames names;
  names.encoder = BertStack("bert.");
  names.pooler = "bert.pooler.dense";
  names.classifier = "classifier";
  names.span_head = "qa_outputs";
  return names;
}

ModelNames RobertaNames(const ModelConfig&) {
  ModelNames names;
  names.encoder = BertStack("roberta.");
  names.pooler = "classifier.dense";
  names.classifier = "classifier.out_proj";
  names.span_head = "qa_outputs";
  return names;
}

ModelNames DistilBertNames(const ModelConfig&) {
  const std::string layer = "distilbert.transformer.layer.{}.";
  ModelNames names;
  StackNames& stack = names.encoder;
  stack.token_embedding = "distilbert.embeddings.word_embeddings";
  stack.position_embedding = "distilbert.embeddings.position_embeddings";
  stack.embedding_norm = "distilbert.embeddings.LayerNorm";
  stack.attention = {layer + "attention.q_lin", layer + "attention.k_lin",
                     layer + "attention.v_lin", layer + "attention.out_lin", ""};
  stack.attention_norm = layer + "sa_layer_norm";
  stack.w_in = layer + "ffn.lin1";
  stack.w_out = layer + "ffn.lin2";
  stack.ffn_norm = layer + "output_layer_norm";
  names.pooler = "pre_classifier";
  names.classifier = "classifier";
  names.span_head = "qa_outputs";
  return names;
}

ConfigKeys BertKeys(int64_t vocab_size) {
  return {
      {"vocab_size", vocab_size},
      {"hidden_size", 768},
      {"max_position_embeddings", 512},
      {{"num_hidden_layers", 12}, {"num_attention_heads", 12}, {}, {}, {"intermediate_size", 3072}},
      {}};
}

}  // namespace

Family BertFamily() {
  Family family;
  family.name = "bert";
  family.model_types = {"bert"};
  family.description = "encoder, post-norm; sequence classification or question answering";
  family.source =
      "recorded outputs of transformers 4.44 (BertForSequenceClassification, "
      "BertForQuestionAnswering)";
  family.base_prefix = "bert.";
  family.class_names = {"Bert"};
  family.keys = BertKeys(30522);
  family.read_config = ReadBert;
  family.names = BertNames;
  return family;
}

Family RobertaFamily() {
  Family family;
  family.name = "roberta";
  family.model_types = {"roberta", "xlm-roberta"};
  family.description = "as BERT, positions counted from the ids; classification or answering";
  family.source = "recorded outputs of transformers 4.44 (RobertaForSequenceClassification)";
  family.base_prefix = "roberta.";
  family.class_names = {"Roberta", "XLMRoberta"};
  family.keys = BertKeys(50265);
  family.read_config = ReadRoberta;
  family.names = RobertaNames;
  return family;
}

Family DistilBertFamily() {
  Family family;
  family.name = "distilbert";
  family.model_types = {"distilbert"};
  family.description = "as BERT without token types; classification or answering";
  family.source = "recorded outputs of transformers 4.44 (DistilBertForSequenceClassification)";
  family.base_prefix = "distilbert.";
  family.class_names = {"DistilBert"};
  family.keys = {{"vocab_size", 30522},
                 {"dim", 768},
                 {"max_position_embeddings", 512},
                 {{"n_layers", 6}, {"n_heads", 12}, {}, {}, {"hidden_dim", 3072}},
                 {}};
  family.read_config = ReadDistilBert;
  family.unread_keys = {
      {"sinusoidal_pos_embds", "says how the table of positions began before training"},
      {"tie_weights_", "of other heads"}};
  family.names = DistilBertNames;
  return family;
}

}  // namespace moefy::model
