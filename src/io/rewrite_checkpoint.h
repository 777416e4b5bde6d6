// Writes the weight files of a checkpoint again with other bytes in some of the tensors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"

namespace moefy::io {

// The files of a checkpoint, written tensor by tensor in any order, by one thread at a time. The
// result has the same shards and index, or model.safetensors where the source is one file of any
// name. Headers are the same byte for byte, so the same bytes give equal files, whoever wrote them.
// Files of other formats become safetensors files of the same tensors, with an index of the same
// shards.
class CheckpointRewriter {
 public:
  // Makes the files in `directory`, which exists and holds no weights, and sets their room aside.
  // The source must outlive this. Throws Error{kSystem} when the disk is full.
  CheckpointRewriter(const Checkpoint& source, std::filesystem::path directory);

  // Writes the bytes of one of the source's tensors; each must be written exactly once. Advances
  // `progress` by them.
  void Write(const std::string& name, std::span<const std::byte> bytes, Progress& progress);
  // Syncs the files and writes the index.
  void Finish();

 private:
  const Checkpoint* source_;
  std::filesystem::path directory_;
  std::vector<std::unique_ptr<SafetensorsWriter>> files_;
  std::map<std::string, SafetensorsWriter*, std::less<>> file_of_;  // by tensor
};

// Returns the bytes to store under a name: those of the source, or others that it puts in `scratch`
// or keeps itself.
using TensorTransform = std::function<std::span<const std::byte>(
    const TensorInfo& info, std::span<const std::byte> bytes, std::vector<std::byte>& scratch)>;

// Writes `source` again into `directory` as CheckpointRewriter does, each tensor's bytes through
// `transform`, in the order in which they lie in the files. Writes weight files only. Advances
// `progress` by the source's bytes; the caller begins and ends the step. Throws Error{kSystem} when
// the disk is full, and what `transform` throws.
void RewriteCheckpoint(const Checkpoint& source, const std::filesystem::path& directory,
                       const TensorTransform& transform, Progress& progress = SilentProgress());

}  // namespace moefy::io
