// Writes the weight files of a checkpoint again with other bytes in some of the tensors.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"

namespace moefy::io {

// Returns the bytes to store under a name: those of the source, or others that it puts in `scratch`
// or keeps itself.
using TensorTransform = std::function<std::span<const std::byte>(
    const TensorInfo& info, std::span<const std::byte> bytes, std::vector<std::byte>& scratch)>;

// Writes `source` again into `directory`, which exists and holds no weights. The result has the
// same shards and index, or model.safetensors where the source is one file of any name. Headers are
// copied byte for byte and each tensor's bytes go through `transform`, so the identity gives equal
// files, whoever wrote them. Files of other formats become safetensors files of the same tensors,
// with an index of the same shards. Writes weight files only. Advances `progress` by the source's
// bytes; the caller begins and ends the step. Throws Error{kSystem} when the disk is full, and what
// `transform` throws.
void RewriteCheckpoint(const Checkpoint& source, const std::filesystem::path& directory,
                       const TensorTransform& transform, Progress& progress = SilentProgress());

}  // namespace moefy::io
