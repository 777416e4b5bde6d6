// What a checkpoint holds, told from its headers alone, without reading weights.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/io/checkpoint.h"
#include "moefy/io/tensor_info.h"
#include "moefy/model/config.h"
#include "moefy/model/ffn_spec.h"

namespace moefy::pipeline {

struct InspectOptions {
  std::string checkpoint;

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "a directory, or a file of weights");
  }
};

struct Inspection {
  std::filesystem::path path;
  // Without a config.json nothing is known of the model. `tensors` then lists all tensors by name,
  // and nothing is said of FFNs and experts.
  bool has_config = true;
  std::vector<io::TensorInfo> tensors;
  model::ModelConfig config;
  std::string head;  // "masked language model", "none"; ...
  int64_t num_tensors = 0;
  int64_t num_files = 0;
  uint64_t num_parameters = 0;
  uint64_t num_bytes = 0;
  uint64_t ffn_parameters = 0;
  std::map<std::string, uint64_t> bytes_by_dtype;
  std::vector<model::FfnSpec> ffns;
  std::vector<int64_t> expert_sizes;  // sensible sizes that divide every FFN, smallest first
  int64_t num_experts = 0;            // 0: not split yet
  int64_t num_shared = 0;             // of these, so many run for every token
  bool has_routers = false;
  // The format in which `moefy pack` packed the weights, "int8" or "int4": those of FFNs and linear
  // maps are not among the tensors then. "": they are not packed.
  std::string packed;
  std::vector<std::string> warnings;
};

// Throws Error{kInput} as the readers do, and when tensors the family needs are missing.
Inspection Inspect(const std::filesystem::path& checkpoint);
// Inspects a checkpoint that is open already, by model::OpenTensors(path).
Inspection Inspect(const io::Checkpoint& checkpoint, const std::filesystem::path& path);

Json InspectionToJson(const Inspection& inspection);

}  // namespace moefy::pipeline
