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
  kNone,                 // an encoder alone, whose outputs are its last hidden states
};
// What the outputs of a sequence classification head mean: exactly one label is right; each label
// is right or wrong by itself; or the outputs are values.
enum class Problem { kSingleLabel, kMultiLabel, kRegression };
enum class NormKind { kLayerNorm, kRmsNorm };
// Where the norms stand: before a sub-layer; after its residual sum; or before both sub-layers,
// which read the same input: x + attention(norm x) + ffn(norm x).
enum class NormPlace { kPre, kPost, kParallel };
// How a model knows positions. kRelativeBias is T5's; kDisentangled is DeBERTa's, by products of
// content and relative positions.
enum class PositionKind { kLearned, kSinusoidal, kRelativeBias, kRotary, kDisentangled };
// What a token's position counts: the columns of the batch before it, the real tokens before it (by
// the mask), or the tokens before it that are not the padding id.
enum class PositionCount { kColumns, kReal, kNotPad };
// How queries, keys and values are stored: in three tensors; in one that has all queries, then all
// keys, then all values; or in one that has, for each key head, its queries, its key and its value.
enum class QkvLayout { kSeparate, kStacked, kGrouped };
// How the queries and keys of self-attention are normed before they are rotated: not at all, each
// head by itself, or all heads together.
enum class QkNorm { kNone, kHead, kAll };

// What happens between an FFN's two products, a function of one number.
struct Activation {
  enum Kind {
    kRelu,
    kRelu2,      // relu(x)^2
    kRelu6,      // min(relu(x), 6)
    kFatRelu,    // x if it is above the threshold, else 0 (ProSparse, arXiv 2402.13516)
    kLeakyRelu,  // x, or x / 100 if x is negative
    kGelu,
    kGelu10,  // GELU, clamped to [-10, 10]
    kGeluTanh,
    kQuickGelu,  // x sigmoid(1.702 x)
    kSilu,
    kMish,  // x tanh(log(1 + e^x))
  };
  Kind kind = kRelu;
  double threshold = 0;  // of kFatRelu
  // A gated FFN applies the activation to both factors, not to the gate alone (dReLU of
  // TurboSparse, arXiv 2406.05955).
  bool on_both = false;

  Activation() = default;
  Activation(Kind the_kind) : kind(the_kind) {}  // NOLINT: Activation::kRelu is an activation
  bool operator==(const Activation&) const = default;

  // Whether most neurons of a trained model are exactly zero for most tokens.
  bool makes_zeros() const {
    return kind == kRelu || kind == kRelu2 || kind == kRelu6 || kind == kFatRelu;
  }
};

// The sizes of one stack of blocks; encoder and decoder may differ in all of them.
struct StackConfig {
  int64_t num_layers = 0;  // 0: the model has no such stack
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // divides num_heads; if smaller: grouped-query attention
  int64_t head_dim = 0;      // num_heads * head_dim may differ from hidden (T5, Gemma)
  int64_t num_neurons = 0;   // d_ff, per FFN
};

// Rotary positions: Su et al., arXiv 2104.09864, in the half-split form. llama3 is the scaling of
// Llama 3.1, which slows down low frequencies only.
struct RotaryConfig {
  int64_t dims = 0;  // so many dimensions of each head are rotated, the first ones
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
  bool windowed = true;  // the layer keeps to ModelConfig::sliding_window, if there is one
  bool rotary = true;    // queries and keys are rotated, if the model has rotary positions
  bool operator==(const LayerAttention&) const = default;
};

// The mixture of experts that a checkpoint brings with it, in place of an FFN (model/mixture.h).
struct MixtureConfig {
  int64_t num_experts = 0;     // 0: there is none, FFNs are plain
  int64_t num_chosen = 0;      // for each token
  int64_t num_neurons = 0;     // of an expert
  int64_t shared_neurons = 0;  // of the expert that runs for every token, through a gate; 0: none
  bool normalised = false;     // the weights of those that are chosen sum to 1
  std::vector<int64_t> dense_layers;  // have plain FFNs all the same
};

struct ModelConfig {
  std::string family;      // "t5", "bert": the row of the family table
  std::string model_type;  // as config.json says
  Architecture architecture = Architecture::kEncoder;
  Head head = Head::kSequenceClassification;

  int64_t vocab_size = 0;        // tokens that the model can write
  int64_t input_vocab_size = 0;  // tokens that it can read; the same number unless it has two
  int64_t hidden = 0;            // width of the residual stream
  int64_t embedding_width = 0;   // differs from hidden where embeddings are projected (OPT 350m)
  // Where the embeddings are projected. True: after positions, token types and the embedding norm,
  // which are of the embeddings' width, and with a bias (ALBERT, ELECTRA). False: before them, and
  // without a bias.
  bool narrow_embeddings = false;
  StackConfig encoder;
  StackConfig decoder;
  // Neighbouring layers share their tensors, in so many groups (ALBERT). 0: no layer shares.
  int64_t num_layer_groups = 0;

  Activation activation = Activation::kRelu;
  bool gated = false;
  MixtureConfig mixture;  // of the decoder

  // Which linear maps have biases, and how their weights are stored.
  bool qkv_bias = false;
  bool attention_output_bias = false;
  bool ffn_bias = false;
  bool head_bias = false;  // also of an output projection that is the embedding
  QkvLayout qkv = QkvLayout::kSeparate;
  bool transposed = false;  // linear maps of the blocks are stored [in, out] (GPT-2's Conv1D)

  NormKind norm = NormKind::kRmsNorm;
  bool norm_bias = true;             // layer norms have a bias
  bool first_attention_norm = true;  // the first layer has an attention norm too
  NormPlace norm_place = NormPlace::kPre;
  double norm_epsilon = 1e-6;
  double norm_weight_offset = 0;  // added to the stored weights (Gemma: 1)
  bool separate_ffn_norm = true;  // with kParallel, the FFN has a norm of its own
  QkNorm qk_norm = QkNorm::kNone;

  PositionKind position = PositionKind::kRelativeBias;
  PositionCount position_count = PositionCount::kColumns;
  int64_t position_offset = 0;    // position of the first token
  int64_t max_positions = 0;      // rows of the table of learned positions
  double sinusoid_steps = 0;      // the i-th frequency is 10000^(-i / steps)
  int64_t relative_buckets = 32;  // of kRelativeBias; of kDisentangled, to either side
  int64_t relative_max_distance = 128;
  bool content_to_position = false;  // kDisentangled has these products of queries and positions,
  bool position_to_content = false;  // and these of keys and positions
  bool relative_norm = false;        // kDisentangled norms the table of positions
  RotaryConfig rotary;
  std::optional<RotaryConfig> local_rotary;  // of layers with a window, if theirs differs
  // A token sees so many tokens, itself included; 0 means all before it. An encoder's token sees so
  // many to either side.
  int64_t sliding_window = 0;
  std::vector<LayerAttention> layer_attention;  // by layer; empty if all are alike
  bool recurrent_decoder =
      false;  // a recurrent unit in place of self-attention (model/recurrence.h)

  int64_t num_token_types = 0;  // 0: no token type embedding
  double embedding_scale = 1.0;
  bool zero_start = false;      // a decoder's first token is read as zeros, whatever its id
  bool scale_attention = true;  // scores are multiplied by attention_scale
  double attention_scale = 0;   // 0 means head_dim^-0.5
  bool scale_attention_by_layer = false;  // scores are multiplied by 1 / (layer + 1) as well
  bool final_norm = true;                 // there is a norm after the last block
  bool tied_embeddings = false;           // the output projection is the input embedding
  double logits_scale = 1.0;              // hidden^-0.5 in a tied T5
  double residual_scale = 1.0;            // multiplies what a sub-layer adds to the residual stream
  double attention_softcap = 0;           // c: scores become c tanh(score / c); 0: no cap
  double logits_softcap = 0;              // c: logits become c tanh(logit / c); 0: no cap

  Problem problem = Problem::kSingleLabel;      // of sequence classification
  int64_t num_labels = 0;                       // classification heads
  std::optional<Activation> pooler_activation;  // tanh if not set
  bool mean_pooling = false;  // an encoder's head reads the tokens' mean, not the first token
  // Some heads have a linear map before their last one: its activation, and whether it has a bias.
  Activation head_activation = Activation::kGelu;
  bool head_dense_bias = true;
  std::vector<std::string> label_names;  // empty, or num_labels of them
  int64_t pad_id = 0;                    // -1: none
  int64_t eos_id = -1;                   // -1: none
  int64_t decoder_start_id = -1;         // of encoder-decoders

  // How the checkpoint's names differ from the family's, see ReadModelConfig().
  std::string missing_prefix;  // the file leaves it out
  std::string added_prefix;    // the file has it before every name: "module."
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
  // Whether a layer of the decoder has a mixture of experts.
  bool has_mixture(int64_t layer_idx) const {
    for (const int64_t dense : mixture.dense_layers) {
      if (dense == layer_idx) return false;
    }
    return mixture.num_experts > 0;
  }
  // The stack whose output the heads read.
  const StackConfig& last_stack() const { return decoder.num_layers > 0 ? decoder : encoder; }
};

}  // namespace moefy::model
