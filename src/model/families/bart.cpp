// BART, mBART, M2M100 (also NLLB), Marian and Pegasus: encoder-decoders of one layout that differ
// in norms and positions. Source: Hugging Face transformers 4.44, the configuration and modeling
// files of each, checked against recorded outputs in tests/parity.
#include <cmath>

#include "model/families/families.h"

namespace moefy::model {
namespace {

// BART's position table has two rows before the first position.
constexpr int64_t kBartOffset = 2;

// The ids that stand for padding and end, and where the decoder starts.
struct Specials {
  int64_t pad, eos, decoder_start;
};

void ReadCommon(const JsonObject& json, ModelConfig& config, const Specials& defaults) {
  config.head = ReadHead(json, {Head::kLanguageModel});
  config.activation = ReadActivation(json, "activation_function", "gelu");
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = true;
  config.norm = NormKind::kLayerNorm;
  config.norm_epsilon = json.GetNumber("layer_norm_eps", 0, 1, 1e-5);
  if (json.GetBool("scale_embedding", false)) {
    config.embedding_scale = std::sqrt(static_cast<double>(config.hidden));
  }
  config.tied_embeddings = json.GetBool("tie_word_embeddings", true);
  config.pad_id = ReadTokenId(json, "pad_token_id", config, defaults.pad);
  config.eos_id = ReadTokenId(json, "eos_token_id", config, defaults.eos);
  config.decoder_start_id =
      ReadTokenId(json, "decoder_start_token_id", config, defaults.decoder_start);
}

void ReadBart(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config, {1, 2, 2});
  config.norm_place = NormPlace::kPost;
  config.final_norm = false;
  config.position = PositionKind::kLearned;
  config.position_offset = kBartOffset;
  config.max_positions += kBartOffset;
}

// mBART is a pre-norm BART; checked against the reference's code, not its outputs.
void ReadMBart(const JsonObject& json, ModelConfig& config) {
  ReadBart(json, config);
  config.norm_place = NormPlace::kPre;
  config.final_norm = true;
}

void ReadM2M100(const JsonObject& json, ModelConfig& config) {
  // Models of two languages may have a vocabulary each.
  config.input_vocab_size = json.GetInt("source_vocab_size", 1, kMaxVocab, config.input_vocab_size);
  config.vocab_size = json.GetInt("target_vocab_size", 1, kMaxVocab, config.vocab_size);
  ReadCommon(json, config, {1, 2, 2});
  config.position = PositionKind::kSinusoidal;
  config.sinusoid_steps = static_cast<double>(config.hidden / 2 - 1);
  config.position_count = PositionCount::kNotPad;
  config.position_offset = config.pad_id + 1;
}

void ReadMarian(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config, {58100, 0, 58100});
  RefuseIf(json, "share_encoder_decoder_embeddings", false, true);
  RefuseIf(json, "tie_word_embeddings", false, true);
  config.norm_place = NormPlace::kPost;
  config.final_norm = false;
  config.position = PositionKind::kSinusoidal;
  config.sinusoid_steps = static_cast<double>(config.hidden) / 2;
}

void ReadPegasus(const JsonObject& json, ModelConfig& config) {
  ReadCommon(json, config, {0, 1, 0});
  config.position = PositionKind::kSinusoidal;
  config.sinusoid_steps = static_cast<double>(config.hidden) / 2;
}

AttentionNames Attention(const std::string& base) {
  return {base + "q_proj", base + "k_proj", base + "v_proj", base + "out_proj", ""};
}

StackNames BartStack(const ModelConfig& config, const std::string& base, bool is_decoder) {
  const std::string layer = base + "layers.{}.";
  StackNames names;
  names.token_embedding = config.tied_embeddings ? "model.shared" : base + "embed_tokens";
  names.position_embedding = base + "embed_positions";
  names.attention_norm = layer + "self_attn_layer_norm";
  names.attention = Attention(layer + "self_attn.");
  if (is_decoder) {
    names.cross_norm = layer + "encoder_attn_layer_norm";
    names.cross = Attention(layer + "encoder_attn.");
  }
  names.ffn_norm = layer + "final_layer_norm";
  names.w_in = layer + "fc1";
  names.w_out = layer + "fc2";
  if (config.final_norm) names.final_norm = base + "layer_norm";
  return names;
}

ModelNames CommonBartNames(const ModelConfig& config) {
  ModelNames names;
  names.encoder = BartStack(config, "model.encoder.", false);
  names.decoder = BartStack(config, "model.decoder.", true);
  names.language_model_head = "lm_head";
  names.logits_bias = "final_logits_bias";
  names.tied_names = {"model.shared.weight", "model.encoder.embed_tokens.weight",
                      "model.decoder.embed_tokens.weight"};
  return names;
}

ModelNames BartNames(const ModelConfig& config) {
  ModelNames names = CommonBartNames(config);
  names.encoder.embedding_norm = "model.encoder.layernorm_embedding";
  names.decoder.embedding_norm = "model.decoder.layernorm_embedding";
  return names;
}

Family Common(const std::string& name, const std::string& class_name, int64_t vocab_size,
              int64_t max_positions, int64_t layers) {
  const auto stack = [layers](const std::string& side) {
    return StackKeys{{side + "_layers", layers},
                     {side + "_attention_heads", 16},
                     {},
                     {},
                     {side + "_ffn_dim", 4096}};
  };
  Family family;
  family.name = name;
  family.model_types = {name};
  family.class_names = {class_name};
  family.unread_keys = {{"num_hidden_layers", "encoder_layers and decoder_layers count"},
                        {"decoder_vocab_size", "as vocab_size, which both stacks share"},
                        {"normalize_before", "of older code; each family has its place of norms"},
                        {"normalize_embedding", "of older code"},
                        {"add_final_layer_norm", "of older code"},
                        {"add_bias_logits", "of older code"},
                        {"static_position_embeddings", "of older code"},
                        {"extra_pos_embeddings", "of older code"}};
  family.base_prefix = "model.";
  family.keys = {{"vocab_size", vocab_size},
                 {"d_model", 1024},
                 {"max_position_embeddings", max_positions},
                 stack("encoder"),
                 stack("decoder")};
  family.names = CommonBartNames;
  return family;
}

}  // namespace

Family BartFamily() {
  Family family = Common("bart", "Bart", 50265, 1024, 12);
  family.description = "encoder-decoder, post-norm, learned positions";
  family.source = "recorded outputs of transformers 4.44 (BartForConditionalGeneration)";
  family.read_config = ReadBart;
  family.names = BartNames;
  return family;
}

Family MBartFamily() {
  Family family = Common("mbart", "MBart", 50265, 1024, 12);
  family.description = "as BART, pre-norm (also mBART-50)";
  family.source =
      "the reference's code (modeling_mbart.py), computed in numpy; no recorded outputs";
  for (const char* key : {"normalize_before", "add_final_layer_norm", "normalize_embedding"}) {
    family.unread_keys.push_back({key, "norms would be elsewhere", true});
  }
  family.unread_keys.push_back({"static_position_embeddings", "positions would differ", false});
  family.unread_keys.push_back({"add_bias_logits", "nothing reads it"});
  family.unread_keys.push_back({"extra_pos_embeddings", "nothing reads it"});
  family.read_config = ReadMBart;
  family.names = BartNames;
  return family;
}

Family M2M100Family() {
  Family family = Common("m2m_100", "M2M100", 128112, 1024, 12);
  family.description =
      "encoder-decoder, pre-norm, sinusoidal positions (also NLLB); one vocabulary or two";
  family.source =
      "recorded outputs of transformers 4.44 (M2M100ForConditionalGeneration); two vocabularies: a "
      "transliteration model's published accuracy";
  family.read_config = ReadM2M100;
  return family;
}

Family MarianFamily() {
  Family family = Common("marian", "Marian", 58101, 1024, 12);
  family.description = "encoder-decoder, post-norm, sinusoidal positions (Opus-MT)";
  family.source = "recorded outputs of transformers 4.44 (MarianMTModel)";
  family.read_config = ReadMarian;
  return family;
}

Family PegasusFamily() {
  Family family = Common("pegasus", "Pegasus", 50265, 1024, 12);
  family.description = "encoder-decoder, pre-norm, sinusoidal positions";
  family.source = "recorded outputs of transformers 4.44 (PegasusForConditionalGeneration)";
  family.read_config = ReadPegasus;
  return family;
}

}  // namespace moefy::model
