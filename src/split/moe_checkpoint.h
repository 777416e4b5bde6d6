// A split checkpoint: the permuted dense checkpoint with moefy.safetensors and moefy.json beside
// it. Format: docs/formats.md, "Split checkpoint". Thread-safety: reading is thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/safetensors.h"
#include "model/family.h"
#include "moefy/io/checkpoint.h"
#include "moefy/model/config.h"
#include "moefy/model/ffn_spec.h"
#include "split/expert_plan.h"

namespace moefy::split {

inline constexpr int kMoeFormat = 1;
inline constexpr const char* kMoeManifest = "moefy.json";
inline constexpr const char* kMoeTensors = "moefy.safetensors";
// Behind an FFN's name in moefy.safetensors: I64 [neurons], new position to old neuron.
inline constexpr const char* kNeuronOrder = ".neuron_order";

// The value of source.family in moefy.json where the FFNs were named by hand (split/named_ffns.h).
// moefy.json then lists their tensors, config.json need not be one that moefy knows, and the model
// cannot be run.
inline constexpr const char* kNamedFamily = "named";

struct MoeFfn {
  model::FfnSpec spec;
  ExpertPlan plan;
};

class MoeCheckpoint {
 public:
  // True when `directory` holds a moefy.json.
  static bool IsMoe(const std::filesystem::path& directory);
  // Throws Error{kInput} for what is no split checkpoint, for an unknown version of the format, and
  // for plans that do not fit the model.
  static MoeCheckpoint Open(const std::filesystem::path& directory,
                            model::ReadFor read_for = model::ReadFor::kRun);
  // Opens it with weights that are open already, whose config.json was read.
  static MoeCheckpoint Open(io::Checkpoint weights, model::ModelConfig config);

  const std::filesystem::path& directory() const { return weights_.directory(); }
  const io::Checkpoint& weights() const { return weights_; }    // permuted
  const model::ModelConfig& config() const { return config_; }  // only `family` when named
  const std::vector<MoeFfn>& ffns() const { return ffns_; }
  const std::string& source_fingerprint() const { return source_fingerprint_; }
  const Json& manifest() const { return manifest_; }              // all of moefy.json
  const io::SafetensorsFile& extras() const { return *extras_; }  // moefy.safetensors

 private:
  MoeCheckpoint(Json manifest, io::Checkpoint weights, model::ModelConfig config);
  io::Checkpoint weights_;
  model::ModelConfig config_;
  std::vector<MoeFfn> ffns_;
  std::string source_fingerprint_;
  Json manifest_;
  std::optional<io::SafetensorsFile> extras_;
};

}  // namespace moefy::split
