// T5: v1.0 (ReLU) and v1.1 or Flan (gated); mT5 and UMT5. Source: Hugging Face transformers 4.44
// and 5.24, the configuration and modeling files of each, checked against recorded outputs in
// tests/parity.
#include <cmath>
#include <cstdlib>

#include "model/activation.h"
#include "model/families/families.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// "relu", "gated-gelu", "gated-silu": the activation, and whether the FFN has a gate.
void ReadFeedForward(const JsonObject& json, const std::string& if_absent, ModelConfig& config) {
  const std::string projection = json.GetString("feed_forward_proj", if_absent);
  const std::string where = json.PathOf("feed_forward_proj");
  config.gated = projection.starts_with("gated-");
  const std::string activation = config.gated ? projection.substr(6) : projection;
  // The reference code turns T5's "gated-gelu" into the tanh form.
  config.activation =
      projection == "gated-gelu" ? Activation::kGeluTanh : ParseActivation(activation, where);
}

// Reads whether this is the whole model with its head, or the encoder alone.
void ReadArchitecture(const JsonObject& json, ModelConfig& config) {
  const std::string key = "architectures";
  config.head =
      json.Has(key) ? ReadHead(json, {Head::kLanguageModel, Head::kNone}) : Head::kLanguageModel;
  if (!json.Has("num_decoder_layers")) config.decoder.num_layers = config.encoder.num_layers;
  if (config.head != Head::kNone) return;
  if (const std::string name = json.GetStrings(key).front(); !name.ends_with("EncoderModel")) {
    throw InputError(json.PathOf(key), " names ", Quoted(name),
                     ", a decoder without a head; supported: ...ForConditionalGeneration, "
                     "...EncoderModel");
  }
  config.architecture = Architecture::kEncoder;
  config.decoder = {};
}

void ReadCommon(const JsonObject& json, const std::string& projection, ModelConfig& config) {
  ReadArchitecture(json, config);
  config.relative_buckets = json.GetInt("relative_attention_num_buckets", 4, kMaxWidth, 32);
  config.relative_max_distance = json.GetInt("relative_attention_max_distance", 4, kMaxWidth, 128);
  if (config.relative_max_distance <= config.relative_buckets / 2) {
    throw InputError(json.PathOf("relative_attention_max_distance"), " is ",
                     config.relative_max_distance, "; expected more than half of the ",
                     config.relative_buckets, " buckets");
  }
  config.norm_epsilon = json.GetNumber("layer_norm_epsilon", 0, 1, 1e-6);
  ReadFeedForward(json, projection, config);
  config.scale_attention = false;  // the initialisation of the query weights has the scale
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.pad_id = ReadTokenId(json, "pad_token_id", config, 0);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 1);
  config.decoder_start_id = json.GetInt("decoder_start_token_id", 0, config.vocab_size - 1,
                                        std::max<int64_t>(0, config.pad_id));
}

void ScaleLogits(bool scaled, ModelConfig& config) {
  config.logits_scale = scaled ? 1.0 / std::sqrt(static_cast<double>(config.hidden)) : 1.0;
}

// Before transformers 5 tied embeddings meant scaled logits; since then a key of its own says so,
// and embeddings are called tied whatever they are.
void ReadT5(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, "relu", config);
  ScaleLogits(json.GetBool("scale_decoder_outputs", config.tied_embeddings), config);
}

void ReadUmt5(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, "gated-gelu", config);
  ScaleLogits(json.GetBool("scale_decoder_outputs", config.tied_embeddings), config);
}

// mT5 has no such key: transformers 5 never scales.
void ReadMt5(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, "gated-gelu", config);
  const std::string version = json.GetString("transformers_version", "");
  const bool before_5 = version.empty() || std::atoi(version.c_str()) < 5;
  ScaleLogits(before_5 && config.tied_embeddings, config);
}

StackNames T5Stack(const std::string& stack, int ffn_layer, const ModelConfig& config) {
  const bool gated = config.gated;
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
  names.relative_bias = StrCat(config.family == "umt5" ? block : stack + ".block.0.layer.",
                               "0.SelfAttention.relative_attention_bias");
  names.final_norm = stack + ".final_layer_norm";
  return names;
}

ModelNames T5Names(const ModelConfig& config) {
  ModelNames names;
  names.encoder = T5Stack("encoder", 1, config);
  if (config.decoder.num_layers > 0) names.decoder = T5Stack("decoder", 2, config);
  names.language_model_head = "lm_head";
  names.tied_names = {"shared.weight", "encoder.embed_tokens.weight",
                      "decoder.embed_tokens.weight"};
  return names;
}

Family Common(const std::string& name, const std::string& class_name, int64_t vocab_size,
              int64_t layers, int64_t heads, int64_t neurons) {
  const StackKeys stack = {
      {"num_layers", layers}, {"num_heads", heads}, {}, {"d_kv", 64}, {"d_ff", neurons}};
  Family family;
  family.name = name;
  family.model_types = {name};
  family.class_names = {class_name};
  family.unread_keys = {{"is_gated_act", "follows from feed_forward_proj"},
                        {"dense_act_fn", "follows from feed_forward_proj"},
                        {"n_positions", "positions are relative"}};
  family.keys = {{"vocab_size", vocab_size}, {"d_model", 512}, {}, stack, stack};
  family.keys.decoder.layers = {"num_decoder_layers", layers};
  family.names = T5Names;
  return family;
}

}  // namespace

Family T5Family() {
  Family family = Common("t5", "T5", 32128, 6, 8, 2048);
  family.description =
      "encoder-decoder or encoder alone, relative position bias; FFN ReLU (v1.0) or gated (v1.1)";
  family.source =
      "recorded outputs of transformers 4.44 and 5.24 (T5ForConditionalGeneration, T5EncoderModel)";
  family.read_config = ReadT5;
  return family;
}

Family Mt5Family() {
  Family family = Common("mt5", "MT5", 250112, 8, 6, 1024);
  family.description = "as T5 v1.1";
  family.source = "recorded outputs of transformers 5.24 (MT5ForConditionalGeneration)";
  family.read_config = ReadMt5;
  return family;
}

Family Umt5Family() {
  Family family = Common("umt5", "UMT5", 250112, 8, 6, 1024);
  family.description = "as T5 v1.1, every layer with a position bias of its own";
  family.source = "recorded outputs of transformers 5.24 (UMT5ForConditionalGeneration)";
  family.read_config = ReadUmt5;
  return family;
}

}  // namespace moefy::model
