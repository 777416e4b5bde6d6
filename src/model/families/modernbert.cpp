// ModernBERT: a pre-norm encoder with rotary positions, fused gated FFNs, and attention to a window
// in most layers (arXiv 2412.13663). Source: Hugging Face transformers 5.24,
// configuration_modernbert.py and modeling_modernbert.py, checked against recorded outputs in
// tests/parity.
#include "model/families/families.h"
#include "model/families/rotary_config.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

void ReadPositions(const JsonObject& json, ModelConfig& config) {
  ReadRotary(json,
             {.default_base = 160000,
              .base = "global_rope_theta",
              .default_local_base = 10000,
              .local_base = "local_rope_theta"},
             config);
  // The window is half of it to either side, and the token itself.
  config.sliding_window = json.GetInt("local_attention", 1, kMaxVocab, 128) / 2 + 1;
  const int64_t every = json.GetInt("global_attn_every_n_layers", 1, kMaxLayers, 3);
  ReadLayerTypes(json, config, [&](int64_t layer_idx) { return layer_idx % every != 0; });
}

// What a classification reads: the first token or the mean of all.
void ReadPooling(const JsonObject& json, ModelConfig& config) {
  const std::string pooling = json.GetString("classifier_pooling", "cls");
  if (pooling != "cls" && pooling != "mean") {
    throw InputError(json.PathOf("classifier_pooling"), " is ", Quoted(pooling),
                     "; supported: cls, mean");
  }
  config.mean_pooling = pooling == "mean";
}

void ReadModernBertConfig(const JsonObject& json, ModelConfig& config) {
  config.head = ReadHead(json, EncoderHeads());
  config.activation = ReadActivation(json, "hidden_activation", "gelu");
  config.gated = true;
  config.head_activation = ReadActivation(json, "classifier_activation", "gelu");
  config.head_dense_bias = json.GetBool("classifier_bias", false);
  config.head_bias = json.GetBool("decoder_bias", true);
  config.qkv = QkvLayout::kStacked;
  config.qkv_bias = config.attention_output_bias = json.GetBool("attention_bias", false);
  config.ffn_bias = json.GetBool("mlp_bias", false);
  config.norm = NormKind::kLayerNorm;
  config.norm_bias = json.GetBool("norm_bias", false);
  config.norm_epsilon = json.GetNumber("norm_eps", 0, 1, 1e-5);
  config.first_attention_norm = false;  // the embeddings' norm is just before it
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.pad_id = ReadTokenId(json, "pad_token_id", config, 50283);
  ReadPositions(json, config);
  ReadPooling(json, config);
  ReadLabels(json, config);
}

ModelNames ModernBertNames(const ModelConfig& config) {
  const std::string layer = "model.layers.{}.";
  ModelNames names;
  StackNames& stack = names.encoder;
  stack.token_embedding = "model.embeddings.tok_embeddings";
  stack.embedding_norm = "model.embeddings.norm";
  stack.attention_norm = layer + "attn_norm";
  stack.attention.qkv = layer + "attn.Wqkv";
  stack.attention.output = layer + "attn.Wo";
  stack.ffn_norm = layer + "mlp_norm";
  stack.w_in = stack.w_gate = layer + "mlp.Wi";
  stack.w_out = layer + "mlp.Wo";
  stack.final_norm = "model.final_norm";
  if (config.head != Head::kNone) {
    names.head_dense = "head.dense";
    names.head_norm = "head.norm";
  }
  names.classifier = "classifier";
  names.span_head = "classifier";
  if (config.head == Head::kMaskedLanguageModel) {
    names.language_model_head = "decoder";
    if (config.head_bias) names.logits_bias = "decoder.bias";
  }
  return names;
}

}  // namespace

Family ModernBertFamily() {
  Family family;
  family.name = "modernbert";
  family.model_types = {"modernbert"};
  family.class_names = {"ModernBert"};
  family.description = "encoder, pre-norm, rotary, fused gated FFN, attention to a window by turns";
  family.source =
      "recorded outputs of transformers 5.24 (ModernBertForMaskedLM, "
      "ModernBertForSequenceClassification)";
  family.base_prefix = "model.";
  family.keys = {
      {"vocab_size", 50368},
      {"hidden_size", 768},
      {"max_position_embeddings", 8192},
      {{"num_hidden_layers", 22}, {"num_attention_heads", 12}, {}, {}, {"intermediate_size", 1152}},
      {}};
  family.unread_keys = {{"initializer_cutoff_factor", "says how training began"},
                        {"deterministic_flash_attn", "another order of the same sums"},
                        {"reference_compile", "another order of the same sums"},
                        {"repad_logits_with_grad", "of training only"},
                        {"sparse_prediction", "leaves out logits that no label asks for"},
                        {"sparse_pred_ignore_index", "leaves out logits that no label asks for"},
                        {"position_embedding_type", "nothing reads it"},
                        {"layer_norm_eps", "nothing reads it; norm_eps is"}};
  family.read_config = ReadModernBertConfig;
  family.names = ModernBertNames;
  return family;
}

}  // namespace moefy::model
