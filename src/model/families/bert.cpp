// BERT, RoBERTa, DistilBERT and ELECTRA, with any head of an encoder or none. Source: Hugging Face
// transformers 4.44 and 5.24, configuration and modeling files of each, checked against recorded
// outputs in tests/parity.
#include "model/families/families.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

void ReadCommon(const JsonObject& json, ModelConfig& config) {
  config.head = ReadHead(json, EncoderHeads());
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = config.head_bias = true;
  config.norm = NormKind::kLayerNorm;
  config.norm_place = NormPlace::kPost;
  config.norm_epsilon = 1e-12;
  config.position = PositionKind::kLearned;
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  ReadLabels(json, config);
}

void ReadBert(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config);
  config.activation = config.head_activation = ReadActivation(json, "hidden_act", "gelu");
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
  config.head_activation = Activation::kGelu;
  config.pad_id = json.GetInt("pad_token_id", 0, config.vocab_size - 1, 1);
  config.position_count = PositionCount::kNotPad;
  config.position_offset = config.pad_id + 1;
}

void ReadDistilBert(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config);
  config.activation = config.head_activation = ReadActivation(json, "activation", "gelu");
  config.pooler_activation = Activation::kRelu;
  config.pad_id = json.GetInt("pad_token_id", 0, config.vocab_size - 1, 0);
}

void ReadElectra(const JsonObject& json, ModelConfig& config) {
  ReadBert(json, config);
  config.embedding_width = json.GetInt("embedding_size", 1, kMaxWidth, 128);
  config.narrow_embeddings = true;
  config.pooler_activation = config.head_activation = Activation::kGelu;
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

// Names the layers of a head that fills masks.
void NameMaskedHead(const std::string& dense, const std::string& norm, const std::string& decoder,
                    const std::string& bias, ModelNames& names) {
  names.head_dense = dense;
  names.head_norm = norm;
  names.language_model_head = decoder;
  names.logits_bias = bias;
}

ModelNames BertNames(const ModelConfig& config) {
  ModelNames names;
  names.encoder = BertStack("bert.");
  names.pooler = "bert.pooler.dense";
  names.classifier = "classifier";
  names.span_head = "qa_outputs";
  if (config.head == Head::kMaskedLanguageModel) {
    NameMaskedHead("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                   "cls.predictions.decoder", "cls.predictions.bias", names);
  }
  return names;
}

ModelNames RobertaNames(const ModelConfig& config) {
  ModelNames names;
  names.encoder = BertStack("roberta.");
  const bool of_tokens = config.head == Head::kTokenClassification;
  names.pooler = config.head == Head::kNone ? "roberta.pooler.dense" : "classifier.dense";
  names.classifier = of_tokens ? "classifier" : "classifier.out_proj";
  names.span_head = "qa_outputs";
  if (config.head == Head::kMaskedLanguageModel) {
    NameMaskedHead("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", "lm_head.bias", names);
  }
  return names;
}

ModelNames ElectraNames(const ModelConfig& config) {
  const bool of_tokens = config.head == Head::kTokenClassification;
  ModelNames names;
  names.encoder = BertStack("electra.");
  // The reference leaves the projection out if it would change no width.
  if (config.embedding_width != config.hidden) {
    names.encoder.project_in = "electra.embeddings_project";
  }
  if (config.head != Head::kNone) names.pooler = "classifier.dense";
  names.classifier = of_tokens ? "classifier" : "classifier.out_proj";
  names.span_head = "qa_outputs";
  if (config.head == Head::kMaskedLanguageModel) {
    NameMaskedHead("generator_predictions.dense", "generator_predictions.LayerNorm",
                   "generator_lm_head", "generator_lm_head.bias", names);
  }
  return names;
}

ModelNames DistilBertNames(const ModelConfig& config) {
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
  if (config.head != Head::kNone) names.pooler = "pre_classifier";
  names.classifier = "classifier";
  names.span_head = "qa_outputs";
  if (config.head == Head::kMaskedLanguageModel) {
    NameMaskedHead("vocab_transform", "vocab_layer_norm", "vocab_projector", "vocab_projector.bias",
                   names);
  }
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
  family.description = "encoder, post-norm, learned positions; any head or none";
  family.source =
      "recorded outputs of transformers 4.44 and 5.24 (BertModel, BertForMaskedLM, "
      "BertForSequenceClassification, BertForQuestionAnswering, BertForTokenClassification)";
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
  family.description = "as BERT, positions counted from the ids (also XLM-RoBERTa)";
  family.source =
      "recorded outputs of transformers 4.44 and 5.24 (RobertaForSequenceClassification, "
      "RobertaForMaskedLM, XLMRobertaForSequenceClassification)";
  family.base_prefix = "roberta.";
  family.class_names = {"Roberta", "XLMRoberta"};
  family.keys = BertKeys(50265);
  family.read_config = ReadRoberta;
  family.names = RobertaNames;
  return family;
}

Family ElectraFamily() {
  Family family;
  family.name = "electra";
  family.model_types = {"electra"};
  family.description = "as BERT, with narrower embeddings that are projected";
  family.source = "recorded outputs of transformers 5.24 (ElectraForSequenceClassification)";
  family.base_prefix = "electra.";
  family.class_names = {"Electra"};
  family.unread_keys = {{"summary_last_dropout", "of training only"}};
  family.keys = {
      {"vocab_size", 30522},
      {"hidden_size", 256},
      {"max_position_embeddings", 512},
      {{"num_hidden_layers", 12}, {"num_attention_heads", 4}, {}, {}, {"intermediate_size", 1024}},
      {}};
  family.read_config = ReadElectra;
  family.names = ElectraNames;
  return family;
}

Family DistilBertFamily() {
  Family family;
  family.name = "distilbert";
  family.model_types = {"distilbert"};
  family.description = "as BERT without token types";
  family.source =
      "recorded outputs of transformers 4.44 and 5.24 (DistilBertForSequenceClassification, "
      "DistilBertForMaskedLM)";
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
