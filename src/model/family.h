// The table of families: how to read a config.json, and what its tensors are called. Adding a
// family is one entry here, one pico fixture and one parity row (docs/families.md). Thread-safe.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"

namespace moefy::model {

// Name templates without the ".weight" or ".bias" at the end. "{}" stands for the layer's index,
// and the name "" for a part that the model does not have.
struct AttentionNames {
  std::string query, key, value;  // QkvLayout::kSeparate, and cross-attention
  std::string output;
  std::string qkv;                             // the other layouts
  std::string query_norm = {}, key_norm = {};  // QkNorm
};
// Of a recurrent unit: both maps are from and to the residual stream; `forget` has a bias.
struct RecurrenceNames {
  std::string input, forget;
};
// Of a mixture of experts: "{}" stands for the layer, "{e}" for the expert. `expert` and `shared`
// come before w_in, w_gate and w_out.
struct MixtureNames {
  std::string router = {};
  std::string expert = {};
  std::string shared = {}, shared_gate = {};
  std::string w_in = {}, w_gate = {}, w_out = {};
};
struct StackNames {
  std::string token_embedding;
  std::string project_in;
  std::string position_embedding;
  std::string token_type_embedding;
  std::string embedding_norm;
  std::string attention_norm;
  AttentionNames attention;
  std::string attention_post_norm;  // norms what attention adds to the residual stream
  std::string cross_norm;
  AttentionNames cross;
  std::string ffn_norm;
  std::string ffn_post_norm;
  std::string w_in;
  // The activated half of a gated FFN. If it has w_in's name, both are one tensor, [2 neurons,
  // hidden], with this half first.
  std::string w_gate;
  std::string w_out;
  std::string relative_bias;       // with "{}" if every layer has one
  std::string relative_embedding;  // PositionKind::kDisentangled
  std::string relative_norm;
  std::string final_norm;
  std::string project_out;
  MixtureNames mixture = {};
  RecurrenceNames recurrence = {};
};
struct ModelNames {
  StackNames encoder;
  StackNames decoder;
  // Between the stack and the last map of a head: a linear map, an activation and a norm.
  std::string head_dense, head_norm;
  std::string language_model_head;  // unless it is tied
  std::string logits_bias;          // a whole name; masked language models always have one
  std::string pooler;
  std::string classifier;
  std::string span_head;
  // Whole names under which the file may hold the token embedding, instead or as copies of it.
  std::vector<std::string> tied_names = {};
};

// A key of config.json and the reference implementation's default; a default of 0 means that the
// size is derived from others.
struct SizeKey {
  std::string key;  // "": there is none
  int64_t if_absent = 0;
  std::string old_key = {};  // read if `key` is absent
};
struct StackKeys {
  SizeKey layers;
  SizeKey heads;
  SizeKey kv_heads;  // derived: heads
  SizeKey head_dim;  // derived: hidden / heads
  SizeKey neurons;   // derived: 4 * hidden
};
struct ConfigKeys {
  SizeKey vocab;
  SizeKey hidden;
  SizeKey positions;
  StackKeys encoder;
  StackKeys decoder;
};

// A key of the reference's config class that the family's reader does not read.
struct UnreadKey {
  std::string key;
  std::string reason;  // why it changes nothing or, if `only` is set, what other values would do
  // The one value that changes nothing; others are refused. Null and no key are as good.
  std::optional<Json> only = std::nullopt;
};

struct Family {
  std::string name;                      // "t5"
  std::vector<std::string> model_types;  // values of config.json's "model_type"
  std::string description;               // one line for `moefy families`
  std::string source;                    // what the claim rests on
  std::string base_prefix;               // of tensor names; some checkpoints leave it out
  ConfigKeys keys;
  // Reads everything but the sizes, which `keys` have given already.
  void (*read_config)(const JsonObject& json, ModelConfig& config);
  ModelNames (*names)(const ModelConfig& config);
  // How the reference's classes are called for each of model_types, up to "For...", "LMHeadModel",
  // and so on. A checkpoint of another class is refused (model/foreign_classes.h).
  std::vector<std::string> class_names = {};
  // Every key of the reference's config class is read, or is here or in the common table
  // (src/model/config_keys.cpp). Any other key of a config.json is a warning.
  std::vector<UnreadKey> unread_keys = {};
  // Where the file's names do not end in ".weight" and ".bias": turns the name that `names` and
  // these ends make ("encoder_l{}_ffn_?1.weight" of layer 0) into the file's ("encoder_l1_ffn_W1").
  std::string (*stored_name)(const std::string& name) = nullptr;
};

const std::vector<Family>& Families();
const Family& GetFamily(const std::string& name);

// Why a model is read. kRun: to run it; a head that moefy does not have is refused. kFfns: for its
// FFNs only; an encoder with such a head (BertForPreTraining) is read as one without a head, and
// `warnings` hears of it.
enum class ReadFor { kRun, kFfns };

// Reads and checks config.json. Throws Error{kInput} with field, value and what was expected; an
// unknown model_type lists the supported ones. `warnings` hears of keys that nothing is known of.
ModelConfig ReadModelConfig(const std::filesystem::path& config_file);
ModelConfig ParseModelConfig(const Json& config, const std::string& where,
                             std::vector<std::string>* warnings = nullptr,
                             ReadFor read_for = ReadFor::kRun);

// Reads a checkpoint's config.json and finds out how its tensors' names differ from the family's:
// without the base prefix, norms with gamma and beta, no language model head of its own. `warnings`
// hears what differs.
ModelConfig ReadModelConfig(const io::Checkpoint& checkpoint,
                            std::vector<std::string>* warnings = nullptr,
                            ReadFor read_for = ReadFor::kRun);
// Reads another config.json than the checkpoint's own.
ModelConfig ReadModelConfig(const io::Checkpoint& checkpoint, const Json& config,
                            std::vector<std::string>* warnings = nullptr,
                            ReadFor read_for = ReadFor::kRun);

}  // namespace moefy::model
