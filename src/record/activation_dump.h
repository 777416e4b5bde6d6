// The activation dump: what entered each FFN on a corpus. Format: docs/formats.md, "Activation
// dump". A directory with dump.json and, per FFN, safetensors shards with `ffn_input`
// [tokens, hidden]; or one that others wrote: per FFN a .safetensors, .pt or .npy file named after
// its W_in tensor. Thread-safety: reading is thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moefy/io/tensor_file.h"
#include "moefy/model/ffn_spec.h"

namespace at {
class Tensor;
}

namespace moefy::record {

struct DumpInfo {
  std::string family;             // "" when others wrote it
  std::string model_fingerprint;  // of the dense checkpoint (io::Checkpoint::Fingerprint), or ""
  std::string corpus;             // what was run: task, split and limit, or the text file's name
};

struct DumpedFfn {
  std::string name;  // FfnSpec::name; when others wrote it FfnSpec::w_in, with or without ".weight"
  int64_t tokens = 0;
  int64_t hidden = 0;
};

class ActivationDump {
 public:
  // Throws Error{kInput} for a missing or lying dump.json or shard, or a file of others that does
  // not hold one tensor [..., hidden] in F32, F16, BF16 or F64.
  static ActivationDump Open(const std::filesystem::path& directory);

  const DumpInfo& info() const { return info_; }
  const std::vector<DumpedFfn>& ffns() const { return ffns_; }
  // Index of the FFN called `name`; Error{kInput} listing what the dump holds when absent.
  size_t GetFfn(const std::string& name) const;
  // Index of a model's FFN, under whichever name it is known.
  std::optional<size_t> Find(const model::FfnSpec& spec) const;
  // Rows [begin, end) of one FFN's inputs as F32 [end - begin, hidden].
  at::Tensor ReadInputs(size_t ffn_idx, int64_t begin, int64_t end) const;

 private:
  static ActivationDump OpenFilesOfOthers(const std::filesystem::path& directory);

  struct Shard {
    std::shared_ptr<const io::TensorFile> file;
    const io::TensorInfo* info;
    int64_t first_token;
    int64_t tokens;
  };
  DumpInfo info_;
  std::vector<DumpedFfn> ffns_;
  std::vector<std::vector<Shard>> shards_;  // per FFN
};

}  // namespace moefy::record
