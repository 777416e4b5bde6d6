// The table of families: how to read a config.json, and what its tensors are called. Adding a
// family is one entry here, one pico fixture and one parity row. Thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/model/config.h"
#include "moefy/model/ffn.h"

namespace moefy::model {

// Name templates without the ".weight" or ".bias" at the end; "{}" stands for the layer's index.
// "" means the family has no such part.
struct AttentionNames {
  std::string query, key, value, output;
};
struct StackNames {
  std::string attention_norm;
  AttentionNames attention;
  std::string cross_norm;
  AttentionNames cross;
  std::string ffn_norm;
  std::string w_in;        // not gated
  std::string gated_gate;  // gated: the activated half
  std::string gated_in;    // gated: the other half
  std::string w_out;
  std::string relative_bias;
  std::string final_norm;
};
struct ModelNames {
  std::string token_embedding;
  std::string position_embedding;
  std::string token_type_embedding;
  std::string embedding_norm;
  StackNames encoder;
  StackNames decoder;
  std::string language_model_head;  // when not tied
  std::string pooler;
  std::string classifier;
  std::string span_head;
};

struct Family {
  std::string name;                      // "t5"
  std::vector<std::string> model_types;  // values of config.json's "model_type"
  std::string description;               // one line for `moefy families`
  std::string source;                    // what the claim rests on
  ModelConfig (*read_config)(const JsonObject& config);
  ModelNames names;
};

const std::vector<Family>& Families();
const Family& GetFamily(const std::string& name);

// Reads and checks config.json. Throws Error{kInput} with field, value and what was expected; an
// unknown model_type lists the supported ones.
ModelConfig ReadModelConfig(const std::filesystem::path& config_file);
ModelConfig ParseModelConfig(const Json& config, const std::string& where);

// A tensor that a model of this config must have.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};
std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config);

// Every FFN of the model in execution order (encoder first).
std::vector<FfnSpec> FfnSpecs(const ModelConfig& config);

// "encoder.block.{}.x", 3 -> "encoder.block.3.x"
std::string LayerName(const std::string& name_template, int64_t layer_idx);

}  // namespace moefy::model
