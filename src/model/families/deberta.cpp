// DeBERTa version 2 and 3: BERT without positions in the embeddings; attention looks at content and
// relative positions apart (arXiv 2006.03654, 2111.09543). Source: Hugging Face transformers 5.24,
// configuration_deberta_v2.py and modeling_deberta_v2.py, checked against recorded outputs in
// tests/parity.
#include <algorithm>
#include <cmath>

#include "model/families/families.h"
#include "moefy/base/error.h"
#include "moefy/base/strings.h"

namespace moefy::model {
namespace {

// "pos_att_type": a list, or its entries with | between them.
std::vector<std::string> ReadProducts(const JsonObject& json) {
  const std::string key = "pos_att_type";
  if (!json.Has(key)) return {};
  return json.GetRaw(key).is_string() ? Split(json.GetString(key), '|') : json.GetStrings(key);
}

void ReadPositions(const JsonObject& json, ModelConfig& config) {
  config.position = PositionKind::kDisentangled;
  RefuseIf(json, "relative_attention", false, false);
  RefuseIf(json, "position_biased_input", true, true);
  RefuseIf(json, "share_att_key", false, false);
  for (const std::string& product : ReadProducts(json)) {
    if (product == "c2p") {
      config.content_to_position = true;
    } else if (product == "p2c") {
      config.position_to_content = true;
    } else {
      throw InputError(json.PathOf("pos_att_type"), " names ", Quoted(product),
                       "; supported: c2p, p2c");
    }
  }
  const int64_t limit = json.GetInt("max_relative_positions", -1, kMaxVocab, -1);
  config.relative_max_distance = limit < 1 ? config.max_positions : limit;
  const int64_t buckets = json.GetInt("position_buckets", -1, kMaxVocab, -1);
  config.relative_buckets = buckets > 0 ? buckets : config.relative_max_distance;
  if (buckets > 0 && (buckets < 4 || config.relative_max_distance - 1 <= buckets / 2)) {
    throw InputError(json.PathOf("position_buckets"), " is ", buckets,
                     "; expected at least 4, and less than twice the ",
                     config.relative_max_distance, " positions less two");
  }
  if (buckets <= 0) config.relative_max_distance = 0;
  const std::string norm = json.GetString("norm_rel_ebd", "none");
  if (norm != "none" && norm != "layer_norm") {
    throw InputError(json.PathOf("norm_rel_ebd"), " is ", Quoted(norm),
                     "; supported: none, layer_norm");
  }
  config.relative_norm = norm == "layer_norm";
  // Each product has its share in the variance of the scores.
  const int products = 1 + config.content_to_position + config.position_to_content;
  config.attention_scale =
      1 / std::sqrt(static_cast<double>(config.hidden / config.encoder.num_heads * products));
}

void ReadDebertaConfig(const JsonObject& json, ModelConfig& config) {
  config.head = ReadHead(json, EncoderHeads());
  config.activation = config.head_activation = ReadActivation(json, "hidden_act", "gelu");
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = true;
  config.norm = NormKind::kLayerNorm;
  config.norm_place = NormPlace::kPost;
  config.norm_epsilon = json.GetNumber("layer_norm_eps", 0, 1, 1e-7);
  ReadPositions(json, config);
  const std::pair<const char*, int64_t> fixed[] = {
      {"conv_kernel_size", 0},
      {"embedding_size", config.hidden},
      {"attention_head_size", config.hidden / config.encoder.num_heads},
      {"pooler_hidden_size", config.hidden}};
  for (const auto& [key, value] : fixed) {
    if (const int64_t found = json.GetInt(key, 0, kMaxWidth, value); found != value) {
      throw InputError(json.PathOf(key), " is ", found, "; only ", value, " is supported");
    }
  }
  config.num_token_types = json.GetInt("type_vocab_size", 0, kMaxWidth, 0);
  config.pooler_activation = ReadActivation(json, "pooler_hidden_act", "gelu");
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.pad_id = json.GetInt("pad_token_id", 0, config.vocab_size - 1, 0);
  if (config.head == Head::kMaskedLanguageModel) RefuseIf(json, "legacy", false, true);
  ReadLabels(json, config);
}

ModelNames DebertaNames(const ModelConfig& config) {
  const std::string layer = "deberta.encoder.layer.{}.", self = layer + "attention.self.";
  ModelNames names;
  StackNames& stack = names.encoder;
  stack.token_embedding = "deberta.embeddings.word_embeddings";
  stack.token_type_embedding = "deberta.embeddings.token_type_embeddings";
  stack.embedding_norm = "deberta.embeddings.LayerNorm";
  stack.relative_embedding = "deberta.encoder.rel_embeddings";
  stack.relative_norm = "deberta.encoder.LayerNorm";
  stack.attention = {self + "query_proj", self + "key_proj", self + "value_proj",
                     layer + "attention.output.dense", ""};
  stack.attention_norm = layer + "attention.output.LayerNorm";
  stack.w_in = layer + "intermediate.dense";
  stack.w_out = layer + "output.dense";
  stack.ffn_norm = layer + "output.LayerNorm";
  if (config.head != Head::kNone) names.pooler = "pooler.dense";
  names.classifier = "classifier";
  names.span_head = "qa_outputs";
  if (config.head == Head::kMaskedLanguageModel) {
    names.head_dense = "cls.predictions.transform.dense";
    names.head_norm = "cls.predictions.transform.LayerNorm";
    names.language_model_head = "cls.predictions.decoder";
    names.logits_bias = "cls.predictions.bias";
  }
  return names;
}

}  // namespace

Family DebertaFamily() {
  Family family;
  family.name = "deberta_v2";
  family.model_types = {"deberta-v2"};
  family.description = "encoder, post-norm, disentangled attention (versions 2 and 3)";
  family.source = "recorded outputs of transformers 5.24 (DebertaV2ForSequenceClassification)";
  family.base_prefix = "deberta.";
  family.class_names = {"DebertaV2"};
  family.unread_keys = {{"legacy", "of masked language models' heads"},
                        {"conv_act", "there is no convolution"},
                        {"conv_groups", "there is no convolution"}};
  family.keys = {
      {"vocab_size", 128100},
      {"hidden_size", 1536},
      {"max_position_embeddings", 512},
      {{"num_hidden_layers", 24}, {"num_attention_heads", 24}, {}, {}, {"intermediate_size", 6144}},
      {}};
  family.read_config = ReadDebertaConfig;
  family.names = DebertaNames;
  return family;
}

}  // namespace moefy::model
