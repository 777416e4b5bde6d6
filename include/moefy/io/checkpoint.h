// A checkpoint on disk, whatever its layout: a directory with model.safetensors or
// pytorch_model.bin, or with shards and an index of either kind, or one file of either kind. Where
// a directory has both, safetensors is used. Knows tensors by name and nothing of Transformers.
// Thread-safety: reading is thread-safe.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/io/tensor_file.h"
#include "moefy/io/tensor_info.h"

namespace moefy::io {

class Checkpoint {
 public:
  // Reads headers only. Throws Error{kInput} naming every problem found.
  static Checkpoint Open(const std::filesystem::path& path);
  // Of one file that was read by other means.
  static Checkpoint FromFile(std::shared_ptr<const TensorFile> file);

  // The directory that holds config.json and the tokenizer (the file's parent for a single file).
  const std::filesystem::path& directory() const { return directory_; }
  bool is_sharded() const { return !index_name_.empty(); }
  const std::string& index_name() const { return index_name_; }  // "" when not sharded
  const std::vector<std::shared_ptr<const TensorFile>>& files() const { return files_; }
  bool is_safetensors() const;  // or a format that moefy reads and does not write
  const std::vector<std::string>& warnings() const { return warnings_; }

  std::vector<std::string> TensorNames() const;  // sorted
  const TensorInfo* Find(std::string_view name) const;
  // Throws Error{kInput} with the nearest name when absent.
  const TensorInfo& Get(std::string_view name) const;
  std::span<const std::byte> Bytes(std::string_view name) const;
  uint64_t TotalBytes() const;  // of all tensors

  // 32 hex digits over every tensor's name, dtype, shape and bytes (XXH3-128, names sorted): the
  // same for any sharding of the same tensors. Reads all weights, in parallel.
  std::string Fingerprint(Progress& progress = SilentProgress()) const;

 private:
  Checkpoint() = default;
  void AddTensors();  // of files_
  // `names` are what is in the directory, `shards` what the index names.
  void WarnOfStrays(const std::set<std::string>& names, std::string_view ending,
                    const std::set<std::string>& shards);
  void WarnOfAdapter(const std::set<std::string>& names);

  std::filesystem::path directory_;
  std::string index_name_;
  std::vector<std::shared_ptr<const TensorFile>> files_;
  std::map<std::string, std::pair<size_t, const TensorInfo*>, std::less<>> tensors_;
  std::vector<std::string> warnings_;
};

// 32 hex digits over the bytes of any file (XXH3-128).
std::string FileFingerprint(const std::filesystem::path& path);

// Gives the bytes to store under a name; `scratch` may hold them if they are not the source's own.
using TensorTransform = std::function<std::span<const std::byte>(
    const TensorInfo& info, std::span<const std::byte> bytes, std::vector<std::byte>& scratch)>;

// Writes `source` again into `directory` (which exists and holds no weights): the same shards and
// index, or model.safetensors for a single file of any name; headers byte for byte, each tensor's
// bytes passed through `transform`. So the identity gives equal files, whoever wrote them. Of other
// formats, every file becomes a safetensors file of the same tensors, and the index one of the
// same shards. Weight files only. Throws Error{kSystem} when the disk is full, and what `transform`
// throws.
void RewriteCheckpoint(const Checkpoint& source, const std::filesystem::path& directory,
                       const TensorTransform& transform, Progress& progress = SilentProgress());

}  // namespace moefy::io
