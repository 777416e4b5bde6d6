// What the one Transformer needs to know about a model: every way in which families differ, as
// fields. Read from config.json by model/family.h. Values, thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace moefy::model {

enum class Architecture { kEncoder, kDecoder, kEncoderDecoder };
enum class Head {
  kSequenceClassification,
  kQuestionAnswering,
  kLanguageModel,
  kMaskedLanguageModel,
  kTokenClassification,  // a label per token
  kNone,                 // an encoder alone: what it gives are its last hidden states
};
// What the outputs of a sequence classification head mean: one of the labels is right; each label
// is right or not, whatever the others are; or values.
enum class Problem { kSingleLabel, kMultiLabel, kRegression };
enum class NormKind { kLayerNorm, kRmsNorm };
// Before the sub-layer; after its residual sum; or before both sub-layers, which read the same
// input: x + attention(norm x) + ffn(norm x).
enum class NormPlace { kPre, kPost, kParallel };
// kRelativeBias: T5's; kDisentangled: of DeBERTa, by products of content and relative positions.
enum class PositionKind { kLearned, kSinusoidal, kRelativeBias, kRotary, kDisentangled };
// What a token's position counts: columns of the batch, real tokens before it (by the mask), or
// tokens before it that are not the padding id.
enum class PositionCount { kColumns, kReal, kNotPad };
// How queries, keys and values are stored: three tensors; one, all queries first, then all keys,
// then all values; or one, per key head its queries, its key and its value.
enum class QkvLayout { kSeparate, kStacked, kGrouped };
// What norms the queries and keys of self-attention before they are rotated: nothing; each head;
// or all heads together.
enum class QkNorm { kNone, kHead, kAll };

// What happens between an FFN's two products, a function of one number.
struct Activation {
  enum Kind {
    kRelu,
    kRelu2,      // relu(x)^2
    kRelu6,      // min(relu(x), 6)
    kFatRelu,    // x above the threshold, else 0 (ProSparse, arXiv 2402.13516)
    kLeakyRelu,  // x, or x / 100 below 0
    kGelu,
    kGelu10,  // clamped to [-10, 10]
    kGeluTanh,
    kQuickGelu,  // x sigmoid(1.702 x)
    kSilu,
    kMish,  // x tanh(log(1 + e^x))
  };
  Kind kind = kRelu;
  double threshold = 0;  // kFatRelu
  // Of gated FFNs: on what is multiplied with the gate too (dReLU of TurboSparse, arXiv
  // 2406.05955).
  bool on_both = false;

  Activation() = default;
  Activation(Kind the_kind) : kind(the_kind) {}  // NOLINT: Activation::kRelu is an activation
  bool operator==(const Activation&) const = default;

  // Most neurons are exactly zero for most tokens, in trained models.
  bool makes_zeros() const {
    return kind == kRelu || kind == kRelu2 || kind == kRelu6 || kind == kFatRelu;
  }
};

// "relu", "gelu_tanh", "fatrelu(0.01)", "relu_both": ParseActivation() reads them back.
std::string ActivationName(const Activation& activation);
// "relu", "gelu", "gelu_new", "silu", ... as config files spell them, and what ActivationName()
// gives. Error{kInput}, beginning with `where`, lists them.
Activation ParseActivation(const std::string& name, const std::string& where);

// One stack of blocks; encoder and decoder may differ in all of these.
struct StackConfig {
  int64_t num_layers = 0;  // 0: the model has no such stack
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // divides num_heads; fewer than those: grouped-query attention
  int64_t head_dim = 0;      // num_heads * head_dim may differ from hidden (T5, Gemma)
  int64_t num_neurons = 0;   // d_ff, per FFN
};

// Rotary positions: Su et al., arXiv 2104.09864, in the half-split form; llama3: the scaling of
// Llama 3.1, which slows down low frequencies only.
struct RotaryConfig {
  int64_t dims = 0;  // of each head that are rotated, the first ones
  double base = 10000;
  double factor = 1;  // positions are divided by it
  bool llama3 = false;
  double low_frequency_factor = 1;
  double high_frequency_factor = 4;
  double original_positions = 8192;
  bool operator==(const RotaryConfig&) const = default;
};

// How the self-attention of one layer differs from that of others.
struct LayerAttention {
  bool windowed = true;  // sees ModelConfig::sliding_window tokens only, where there is a window
  bool rotary = true;    // queries and keys are rotated, in models with rotary positions
  bool operator==(const LayerAttention&) const = default;
};

struct ModelConfig {
  std::string family;      // "t5", "bert": the row of the family table
  std::string model_type;  // as config.json says
  Architecture architecture = Architecture::kEncoder;
  Head head = Head::kSequenceClassification;

  int64_t vocab_size = 0;        // of what comes out, and of what goes in unless they differ
  int64_t input_vocab_size = 0;  // of input_ids
  int64_t hidden = 0;            // width of the residual stream
  int64_t embedding_width = 0;   // differs from hidden where embeddings are projected (OPT 350m)
  // Positions, token types and the embedding norm are of the embeddings' width too, and the
  // projection comes after them, with a bias (ALBERT, ELECTRA); else it comes first, without one.
  bool narrow_embeddings = false;
  StackConfig encoder;
  StackConfig decoder;
  // Layers share their tensors in so many groups of neighbours (ALBERT); 0: no layer does.
  int64_t num_layer_groups = 0;

  Activation activation = Activation::kRelu;
  bool gated = false;

  // Which linear maps have biases, and how their weights are stored.
  bool qkv_bias = false;
  bool attention_output_bias = false;
  bool ffn_bias = false;
  bool head_bias = false;
  QkvLayout qkv = QkvLayout::kSeparate;
  bool transposed = false;  // linear maps of the blocks are stored [in, out] (GPT-2's Conv1D)

  NormKind norm = NormKind::kRmsNorm;
  bool norm_bias = true;             // of layer norms
  bool first_attention_norm = true;  // the first layer has one too
  NormPlace norm_place = NormPlace::kPre;
  double norm_epsilon = 1e-6;
  double norm_weight_offset = 0;  // added to the stored weights (Gemma: 1)
  bool separate_ffn_norm = true;  // kParallel: the FFN has a norm of its own
  QkNorm qk_norm = QkNorm::kNone;

  PositionKind position = PositionKind::kRelativeBias;
  PositionCount position_count = PositionCount::kColumns;
  int64_t position_offset = 0;    // position of the first token
  int64_t max_positions = 0;      // learned positions: rows of the table
  double sinusoid_steps = 0;      // the i-th frequency is 10000^(-i / steps)
  int64_t relative_buckets = 32;  // relative bias (T5); kDisentangled: to either side
  int64_t relative_max_distance = 128;
  bool content_to_position = false;  // kDisentangled: which products there are
  bool position_to_content = false;
  bool relative_norm = false;  // kDisentangled: a norm after the table of positions
  RotaryConfig rotary;
  std::optional<RotaryConfig> local_rotary;  // of layers with a window, where theirs differs
  // A token sees so many, itself included; 0: all before it. Of encoders: to either side.
  int64_t sliding_window = 0;
  std::vector<LayerAttention> layer_attention;  // by layer; empty: all are alike

  int64_t num_token_types = 0;  // 0: no token type embedding
  double embedding_scale = 1.0;
  bool scale_attention = true;            // multiply scores by attention_scale
  double attention_scale = 0;             // 0: head_dim^-0.5
  bool scale_attention_by_layer = false;  // and by 1 / (layer + 1)
  bool final_norm = true;                 // after the last block
  bool tied_embeddings = false;           // output projection = input embedding
  double logits_scale = 1.0;              // T5: hidden^-0.5 when tied
  double residual_scale = 1.0;            // of what a sub-layer adds to the residual stream
  double attention_softcap = 0;           // c: scores become c tanh(score / c); 0: they do not
  double logits_softcap = 0;              // the same of logits

  Problem problem = Problem::kSingleLabel;      // of sequence classification
  int64_t num_labels = 0;                       // classification heads
  std::optional<Activation> pooler_activation;  // nothing: tanh
  bool mean_pooling = false;  // encoders: the head reads the tokens' mean, not the first token
  // Of the linear map and the norm that come before a head's last map, where it has them.
  Activation head_activation = Activation::kGelu;
  bool head_dense_bias = true;
  std::vector<std::string> label_names;  // empty, or num_labels of them
  int64_t pad_id = 0;                    // -1: none
  int64_t eos_id = -1;                   // -1: none
  int64_t decoder_start_id = -1;         // encoder-decoders

  // How the checkpoint's names differ from the family's, see ReadModelConfig().
  std::string missing_prefix;  // left out by the file
  std::string added_prefix;    // before every name in the file: "module."
  bool gamma_beta = false;     // norms are called gamma and beta, not weight and bias
  std::map<std::string, std::string> aliases;  // tied tensors the file holds under another name

  bool is_regression() const {
    return head == Head::kSequenceClassification && problem == Problem::kRegression;
  }
  bool is_multi_label() const {
    return head == Head::kSequenceClassification && problem == Problem::kMultiLabel;
  }
  LayerAttention attention_of(int64_t layer_idx) const {
    return layer_attention.empty() ? LayerAttention()
                                   : layer_attention[static_cast<size_t>(layer_idx)];
  }
  // The stack whose output the heads read.
  const StackConfig& last_stack() const { return decoder.num_layers > 0 ? decoder : encoder; }
};

}  // namespace moefy::model
