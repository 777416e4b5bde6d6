// What the one Transformer needs to know about a model: every way in which families differ, as
// fields. Read from config.json by model/family.h. Values, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moefy::model {

enum class Architecture { kEncoder, kEncoderDecoder };
enum class Head { kSequenceClassification, kQuestionAnswering, kLanguageModel };
enum class NormKind { kLayerNorm, kRmsNorm };
enum class NormPlace { kPre, kPost };  // before the sub-layer, or after its residual sum
enum class PositionKind { kLearned, kRelativeBias };
enum class Activation { kRelu, kGelu, kGeluTanh, kSilu };

std::string ActivationName(Activation activation);  // "relu", "gelu", "gelu_tanh", "silu"
// By the names that config.json files use. Throws Error{kInput} beginning with `where`.
Activation ParseActivation(const std::string& name, const std::string& where);

struct ModelConfig {
  std::string family;      // "t5", "bert": the row of the family table
  std::string model_type;  // as config.json says
  Architecture architecture = Architecture::kEncoder;
  Head head = Head::kSequenceClassification;

  int64_t vocab_size = 0;
  int64_t hidden = 0;  // width of the residual stream
  int64_t num_heads = 0;
  int64_t head_dim = 0;     // num_heads * head_dim may differ from hidden (T5)
  int64_t num_neurons = 0;  // d_ff, per FFN
  int64_t num_encoder_layers = 0;
  int64_t num_decoder_layers = 0;

  Activation activation = Activation::kRelu;
  bool gated = false;
  bool biases = false;  // on attention and FFN projections

  NormKind norm = NormKind::kRmsNorm;
  NormPlace norm_place = NormPlace::kPre;
  double norm_epsilon = 1e-6;

  PositionKind position = PositionKind::kRelativeBias;
  int64_t max_positions = 0;      // learned positions: rows of the table
  int64_t relative_buckets = 32;  // relative bias (T5)
  int64_t relative_max_distance = 128;
  int64_t num_token_types = 0;  // 0: no token type embedding
  bool embedding_norm = false;
  bool scale_attention = true;   // multiply scores by head_dim^-0.5
  bool tied_embeddings = false;  // output projection = input embedding
  double logits_scale = 1.0;     // T5: hidden^-0.5 when tied

  int64_t num_labels = 0;                // classification heads
  std::vector<std::string> label_names;  // empty, or num_labels of them
  int64_t pad_id = 0;
  int64_t eos_id = -1;            // -1: none
  int64_t decoder_start_id = -1;  // encoder-decoders
};

}  // namespace moefy::model
