// T5: v1.0 (ReLU) and v1.1 or Flan (gated). Source: Hugging Face transformers 4.44,
// configuration_t5.py and modeling_t5.py, checked against recorded outputs in tests/parity.
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

void ReadConfig(const JsonObject& json, ModelConfig& config) {
  config.head = Head::kLanguageModel;
  if (!json.Has("num_decoder_layers")) config.decoder.num_layers = config.encoder.num_layers;
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
  // transformers 5 says that it is tied whatever is in the file, and this besides.
  const bool scaled = json.GetBool("scale_decoder_outputs", config.tied_embeddings);
  config.logits_scale = scaled ? 1.0 / std::sqrt(static_cast<double>(config.hidden)) : 1.0;
  config.pad_id = ReadTokenId(json, "pad_token_id", config, 0);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 1);
  config.decoder_start_id = json.GetInt("decoder_start_token_id", 0, config.vocab_size - 1,
                                        std::max<int64_t>(0, config.pad_id));
}

StackNames Stack(const std::string& stack, int ffn_layer, bool gated) {
  const std::string block = stack + ".block.{}.layer.";
  const std::string self = block + "0.SelfAttention.";
  const std::string ffn = StrCat(block, ffn_layer, ".DenseReluDense.");
  StackNames names;
  names.token_embedding = "shared";
  names.attention_norm = block + "0.layer_norm";
  names.attention = {self + "q", self + "k", self + "v", self + "o", ""};
  if (ffn_layer == 2) {
    const std::string cross = block + "1.EncDecAttention.";
    names.cross_norm = block + "1.layer_norm";
    names.cross = {cross + "q", cross + "k", cross + "v", cross + "o", ""};
  }
  names.ffn_norm = StrCat(block, ffn_layer, ".layer_norm");
  names.w_in = ffn + (gated ? "wi_1" : "wi");
  if (gated) names.w_gate = ffn + "wi_0";
  names.w_out = ffn + "wo";
  names.relative_bias = stack + ".block.0.layer.0.SelfAttention.relative_attention_bias";
  names.final_norm = stack + ".final_layer_norm";
  return names;
}

ModelNames Names(const ModelConfig& config) {
  ModelNames names;
  names.encoder = Stack("encoder", 1, config.gated);
  names.decoder = Stack("decoder", 2, config.gated);
  names.language_model_head = "lm_head";
  names.tied_names = {"shared.weight", "encoder.embed_tokens.weight",
                      "decoder.embed_tokens.weight"};
  return names;
}

}  // namespace

Family T5Family() {
  Family family;
  family.name = "t5";
  family.model_types = {"t5"};
  family.class_names = {"T5"};
  family.unread_keys = {{"is_gated_act", "follows from feed_forward_proj"},
                        {"dense_act_fn", "follows from feed_forward_proj"},
                        {"n_positions", "positions are relative"}};
  family.description = "encoder-decoder, relative position bias; FFN ReLU (v1.0) or gated (v1.1)";
  family.source = "recorded outputs of transformers 4.44 (T5ForConditionalGeneration)";
  const StackKeys stack = {{"num_layers", 6}, {"num_heads", 8}, {}, {"d_kv", 64}, {"d_ff", 2048}};
  family.keys = {{"vocab_size", 32128}, {"d_model", 512}, {}, stack, stack};
  family.keys.decoder.layers = {"num_decoder_layers", 6};
  family.read_config = ReadConfig;
  family.names = Names;
  return family;
}

}  // namespace moefy::model
