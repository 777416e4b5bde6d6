// The students that Bergamot trains with Marian and browsers run: a Transformer encoder, and a
// decoder with a recurrent unit (SSRU) in place of self-attention. The reference has no class for
// them; their files have Marian's own names and matrices, [in, out]. Source: Marian
// (https://marian-nmt.github.io), src/models/transformer.h and src/layers; Kim et al. 2019,
// https://aclanthology.org/D19-5632.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>

#include "model/families/families.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

// Marian counts layers from 1, has one letter for a matrix and another for its bias (the "?" of the
// names below), and calls what norms have scale and bias. Parts of names stay as they are.
std::string MarianName(const std::string& name) {
  const bool is_weight = name.ends_with(".weight");
  if (!is_weight && !name.ends_with(".bias")) return name;
  std::string stored = name.substr(0, name.rfind('.'));
  if (const size_t at = stored.find("_l"); at != std::string::npos) {
    const size_t first = at + 2, end = stored.find('_', first);
    const std::string number = stored.substr(first, end - first);
    if (!number.empty() &&
        std::ranges::all_of(number, [](unsigned char c) { return isdigit(c); })) {
      stored.replace(first, number.size(), std::to_string(std::stoll(number) + 1));
    }
  }
  if (stored.ends_with("_ln")) return stored + (is_weight ? "_scale" : "_bias");
  return ReplaceAll(stored, "?", is_weight ? "W" : "b");
}

void ReadMarianStudent(const JsonObject& json, ModelConfig& config) {
  RefuseIf(json, "tie_word_embeddings", false, true);
  config.head = Head::kLanguageModel;
  config.activation = ReadActivation(json, "activation_function", "relu");
  config.qkv_bias = config.attention_output_bias = config.ffn_bias = config.head_bias = true;
  config.transposed = true;
  config.norm = NormKind::kLayerNorm;
  config.norm_epsilon = json.GetNumber("layer_norm_eps", 0, 1, 1e-9);
  config.norm_place = NormPlace::kPost;
  config.final_norm = false;
  config.position = PositionKind::kSinusoidal;
  config.position_count = PositionCount::kReal;
  config.sinusoid_steps = static_cast<double>(config.hidden / 2 - 1);
  config.recurrent_decoder = true;
  config.zero_start = true;
  config.tied_embeddings = true;
  if (json.GetBool("scale_embedding", true)) {
    config.embedding_scale = std::sqrt(static_cast<double>(config.hidden));
  }
  // The end stands for padding, and for what is before a decoder's first token.
  config.eos_id = ReadTokenId(json, "eos_token_id", config, 0);
  config.pad_id = config.decoder_start_id = std::max<int64_t>(0, config.eos_id);
}

AttentionNames MarianAttention(const std::string& base) {
  return {base + "_?q", base + "_?k", base + "_?v", base + "_?o", ""};
}

StackNames MarianStack(const std::string& layer) {
  StackNames names;
  names.token_embedding = "Wemb";
  names.w_in = layer + "_ffn_?1";
  names.w_out = layer + "_ffn_?2";
  names.ffn_norm = layer + "_ffn_ffn_ln";
  return names;
}

ModelNames MarianStudentNames(const ModelConfig& config) {
  const std::string encoder = "encoder_l{}", decoder = "decoder_l{}";
  ModelNames names;
  names.encoder = MarianStack(encoder);
  names.encoder.attention = MarianAttention(encoder + "_self");
  names.encoder.attention_norm = encoder + "_self_Wo_ln";
  names.decoder = MarianStack(decoder);
  if (config.recurrent_decoder) {
    names.decoder.recurrence = {decoder + "_rnn_?", decoder + "_rnn_?f"};
    names.decoder.attention_norm = decoder + "_rnn_ffn_ln";
  } else {
    names.decoder.attention = MarianAttention(decoder + "_self");
    names.decoder.attention_norm = decoder + "_self_Wo_ln";
  }
  names.decoder.cross = MarianAttention(decoder + "_context");
  names.decoder.cross_norm = decoder + "_context_Wo_ln";
  names.logits_bias = "decoder_ff_logit_out_b";
  return names;
}

}  // namespace

Family MarianStudentFamily() {
  const auto stack = [](const std::string& side, int64_t layers) {
    return StackKeys{{side + "_layers", layers},
                     {side + "_attention_heads", 8},
                     {},
                     {},
                     {side + "_ffn_dim", 1536}};
  };
  Family family;
  family.name = "marian-ssru";
  family.model_types = {"marian-ssru"};
  family.class_names = {"BergamotTiny11 (no transformers class)"};
  family.description =
      "encoder-decoder, post-norm, a recurrent unit in place of decoder self-attention (Bergamot)";
  family.source =
      "Marian's graph, computed in numpy, and published students' BLEU; no recorded outputs";
  family.keys = {
      {"vocab_size", 32000}, {"d_model", 256}, {}, stack("encoder", 6), stack("decoder", 2)};
  family.read_config = ReadMarianStudent;
  family.names = MarianStudentNames;
  family.unread_keys = {{"decoder_autoreg", "the decoder would attend to itself", "ssru"},
                        {"post_norm", "norms would be elsewhere", true},
                        {"decoder_start", "a text would begin with a token", "zero vector"},
                        {"positions", "says in words what positions are"},
                        {"weight_layout", "says in words how matrices lie"}};
  family.stored_name = MarianName;
  return family;
}

}  // namespace moefy::model
