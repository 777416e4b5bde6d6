// The table of families: how to read a config.json, and what each tensor is called and shaped.
// Adding a family is one entry here, one pico fixture and one parity row. Thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "moefy/model/config.h"
#include "moefy/model/ffn.h"

namespace moefy::model {

// A tensor a model of this config must (or may) have.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};

struct Family {
  std::string name;                      // "t5"
  std::vector<std::string> model_types;  // values of config.json's "model_type"
  std::string description;               // one line for `moefy families`
  std::string source;                    // where the claims about it come from
  ModelConfig (*read_config)(const JsonObject& config);
  std::vector<ExpectedTensor> (*expected_tensors)(const ModelConfig& config);
  std::vector<FfnSpec> (*ffns)(const ModelConfig& config);
};

const std::vector<Family>& Families();
const Family& GetFamily(const std::string& name);

// Reads and checks config.json. Throws Error{kInput} with field, value and what was expected; an
// unknown model_type lists the supported ones.
ModelConfig ReadModelConfig(const std::filesystem::path& config_file);
ModelConfig ParseModelConfig(const Json& config, const std::string& where);

// Every FFN of the model in execution order (encoder first).
std::vector<FfnSpec> FfnSpecs(const ModelConfig& config);

}  // namespace moefy::model
