// The activation dump: what entered each FFN on a corpus. Format: docs/formats.md, "Activation
// dump". It is a directory with dump.json and, per FFN, safetensors shards that hold `ffn_input`
// [tokens, hidden]. A directory that others wrote holds, per FFN, a .safetensors, .pt or .npy file
// named after its W_in tensor. Thread-safety: reading is thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/tensor_file.h"
#include "moefy/model/ffn_spec.h"

namespace moefy::record {

struct DumpInfo {
  std::string family;             // "" when others wrote the dump
  std::string model_fingerprint;  // of the dense checkpoint (io::Checkpoint::Fingerprint), or ""
  std::string corpus;             // what was run: task, split and limit, or the text file's name
};

struct DumpedFfn {
  std::string name;  // FfnSpec::name; when others wrote it FfnSpec::w_in, with or without ".weight"
  int64_t tokens = 0;
  int64_t hidden = 0;
};

// A file that holds some of an FFN's rows.
struct DumpShard {
  std::shared_ptr<const io::TensorFile> file;
  const io::TensorInfo* info;
  int64_t first_token;
  int64_t tokens;
};

class ActivationDump {
 public:
  // Throws Error{kInput} when dump.json or a shard is missing or lies, or when a file of others
  // does not hold one tensor [..., hidden] in F32, F16, BF16 or F64.
  static ActivationDump Open(const std::filesystem::path& directory);

  const DumpInfo& info() const { return info_; }
  const std::vector<DumpedFfn>& ffns() const { return ffns_; }
  // The index of the FFN called `name`; Error{kInput} lists what the dump holds when it is absent.
  size_t GetFfn(const std::string& name) const;
  // The index of a model's FFN, under whichever name the dump has it.
  std::optional<size_t> Find(const model::FfnSpec& spec) const;
  // In the order of their tokens.
  const std::vector<DumpShard>& shards(size_t ffn_idx) const { return shards_.at(ffn_idx); }

 private:
  static ActivationDump OpenFilesOfOthers(const std::filesystem::path& directory);

  DumpInfo info_;
  std::vector<DumpedFfn> ffns_;
  std::vector<std::vector<DumpShard>> shards_;  // per FFN
};

}  // namespace moefy::record
