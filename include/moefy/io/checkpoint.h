// A checkpoint on disk, whatever its layout: a directory with model.safetensors or
// pytorch_model.bin, a directory with shards and an index of either kind, or one file of either
// kind. A directory that has both kinds is read as safetensors. A checkpoint knows tensors by name
// and nothing of Transformers. Thread-safety: reading is thread-safe.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/io/tensor_info.h"

namespace moefy::io {

class TensorFile;  // io/tensor_file.h

class Checkpoint {
 public:
  // Reads headers only. Throws Error{kInput} naming every problem found.
  static Checkpoint Open(const std::filesystem::path& path);
  // A checkpoint of one file that was opened by other means.
  static Checkpoint FromFile(std::shared_ptr<const TensorFile> file);

  // The directory that holds config.json and the tokenizer (the file's parent for a single file).
  const std::filesystem::path& directory() const { return directory_; }
  bool is_sharded() const { return !index_name_.empty(); }
  const std::string& index_name() const { return index_name_; }  // "" when not sharded
  const std::vector<std::shared_ptr<const TensorFile>>& files() const { return files_; }
  bool is_safetensors() const;  // false: PyTorch files, which moefy reads and does not write
  const std::vector<std::string>& warnings() const { return warnings_; }

  std::vector<std::string> TensorNames() const;  // sorted
  const TensorInfo* Find(std::string_view name) const;
  // Throws Error{kInput} with the nearest name when absent.
  const TensorInfo& Get(std::string_view name) const;
  std::span<const std::byte> Bytes(std::string_view name) const;
  uint64_t TotalBytes() const;  // of all tensors

  // 32 hex digits over every tensor's name, dtype, shape and bytes (XXH3-128, names sorted): the
  // same for any sharding of the same tensors. The first call reads all weights, in parallel, as a
  // step of `progress`; this object and its copies keep the result, and later calls return it.
  std::string Fingerprint(Progress& progress = SilentProgress()) const;

  // The text of config.json, "" where there is none. The file is read when its text is first asked
  // for, and this object and its copies keep it, so that a command sees one config however many of
  // its parts ask. Throws Error{kInput} for more than 64 MB, Error{kSystem} for a file that cannot
  // be read.
  const std::string& ConfigText() const;
  // The safetensors file of another name in the directory; null where there is none. It is opened
  // when it is first asked for, and this object and its copies keep it, likewise. Throws
  // Error{kInput} for a file that cannot be read.
  std::shared_ptr<const TensorFile> Beside(const std::string& name) const;
  std::filesystem::path ConfigPath() const { return directory_ / "config.json"; }

 private:
  struct Kept {
    std::mutex mutex;
    std::string fingerprint;  // "" until it is computed
    std::optional<std::string> config_text;
    std::map<std::string, std::shared_ptr<const TensorFile>> beside;
  };

  Checkpoint() = default;
  void AddTensors();  // enters the tensors of files_ and the files' warnings
  // `names` lists what is in the directory, `shards` what the index names.
  void WarnOfStrays(const std::set<std::string>& names, std::string_view ending,
                    const std::set<std::string>& shards);
  void WarnOfAdapter(const std::set<std::string>& names);

  std::filesystem::path directory_;
  std::string index_name_;
  std::vector<std::shared_ptr<const TensorFile>> files_;
  std::map<std::string, std::pair<size_t, const TensorInfo*>, std::less<>> tensors_;
  std::vector<std::string> warnings_;
  std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
};

}  // namespace moefy::io
