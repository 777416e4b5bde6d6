// T5: v1.0 (ReLU) and v1.1 (gated). Source: Hugging Face transformers 4.44, configuration_t5.py and
// modeling_t5.py, checked against recorded outputs in tests/parity.
#include <cmath>

#include "model/families.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// "relu", "gated-gelu", "gated-silu": the activation, and whether the FFN has a gate.
void ReadFeedForward(const JsonObject& json, ModelConfig& config) {
  const std::string projection = json.GetString("feed_forward_proj", "relu");
  const std::string where = json.PathOf("feed_forward_proj");
  config.gated = projection.starts_with("gated-");
  const std::string activation = config.gated ? projection.substr(6) : projection;
  // The reference code turns T5's "gated-gelu" into the tanh form.
  config.activation =
      projection == "gated-gelu" ? Activation::kGeluTanh : ParseActivation(activation, where);
}

ModelConfig ReadConfig(const JsonObject& json) {
  ModelConfig config;
  config.architecture = Architecture::kEncoderDecoder;
  config.head = Head::kLanguageModel;
  config.vocab_size = json.GetInt("vocab_size", 1, kMaxVocab, 32128);
  config.hidden = json.GetInt("d_model", 1, kMaxWidth, 512);
  config.head_dim = json.GetInt("d_kv", 1, kMaxWidth, 64);
  config.num_neurons = json.GetInt("d_ff", 1, kMaxWidth, 2048);
  config.num_heads = json.GetInt("num_heads", 1, kMaxWidth, 8);
  config.num_encoder_layers = json.GetInt("num_layers", 1, kMaxLayers, 6);
  config.num_decoder_layers =
      json.GetInt("num_decoder_layers", 1, kMaxLayers, config.num_encoder_layers);
  config.relative_buckets = json.GetInt("relative_attention_num_buckets", 4, kMaxWidth, 32);
  config.relative_max_distance = json.GetInt("relative_attention_max_distance", 4, kMaxWidth, 128);
  if (config.relative_max_distance <= config.relative_buckets / 2) {
    throw InputError(json.PathOf("relative_attention_max_distance"), " is ",
                     config.relative_max_distance, "; expected more than half of the ",
                     config.relative_buckets, " buckets");
  }
  config.norm_epsilon = json.GetNumber("layer_norm_epsilon", 0, 1, 1e-6);
  ReadFeedForward(json, config);
  config.scale_attention = false;  // folded into the initialisation of the query weights
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.logits_scale =
      config.tied_embeddings ? 1.0 / std::sqrt(static_cast<double>(config.hidden)) : 1.0;
  config.pad_id = json.GetInt("pad_token_id", 0, config.vocab_size - 1, 0);
  config.eos_id = json.GetInt("eos_token_id", 0, config.vocab_size - 1, 1);
  config.decoder_start_id =
      json.GetInt("decoder_start_token_id", 0, config.vocab_size - 1, config.pad_id);
  return config;
}

StackNames Stack(const std::string& stack, int ffn_layer) {
  const std::string block = stack + ".block.{}.layer.";
  const std::string self = block + "0.SelfAttention.";
  const std::string ffn = StrCat(block, ffn_layer, ".DenseReluDense.");
  StackNames names;
  names.attention_norm = block + "0.layer_norm";
  names.attention = {self + "q", self + "k", self + "v", self + "o"};
  if (ffn_layer == 2) {
    const std::string cross = block + "1.EncDecAttention.";
    names.cross_norm = block + "1.layer_norm";
    names.cross = {cross + "q", cross + "k", cross + "v", cross + "o"};
  }
  names.ffn_norm = StrCat(block, ffn_layer, ".layer_norm");
  names.w_in = ffn + "wi";
  names.gated_gate = ffn + "wi_0";
  names.gated_in = ffn + "wi_1";
  names.w_out = ffn + "wo";
  names.relative_bias = stack + ".block.0.layer.0.SelfAttention.relative_attention_bias";
  names.final_norm = stack + ".final_layer_norm";
  return names;
}

}  // namespace

Family T5Family() {
  Family family;
  family.name = "t5";
  family.model_types = {"t5"};
  family.description = "encoder-decoder, relative position bias; FFN ReLU (v1.0) or gated (v1.1)";
  family.source = "recorded outputs of transformers 4.44 (T5ForConditionalGeneration)";
  family.read_config = ReadConfig;
  family.names.token_embedding = "shared";
  family.names.encoder = Stack("encoder", 1);
  family.names.decoder = Stack("decoder", 2);
  family.names.language_model_head = "lm_head";
  return family;
}

}  // namespace moefy::model
