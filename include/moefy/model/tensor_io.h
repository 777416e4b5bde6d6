// Tensors out of checkpoints and into files. Thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "moefy/io/checkpoint.h"

namespace moefy::model {

// F32 tensors by name.
using TensorMap = std::map<std::string, at::Tensor>;

// LibTorch's name of a stored type, if moefy computes on it: F32, F16, BF16 or F64.
std::optional<at::ScalarType> ComputableType(io::DType dtype);

// Throws Error{kInput} that names the tensor and its first element that is NaN or infinite, if
// there is one. Runs in parallel, at the speed of memory.
void RequireFinite(const io::TensorInfo& info, std::span<const std::byte> bytes);

// Copies a stored tensor into an F32 tensor. Throws Error{kInput} for types that moefy does not
// compute on, and for values that are not finite, or would not be as F32.
at::Tensor ReadTensor(const io::Checkpoint& checkpoint, const std::string& name);

// Writes all tensors, which may be on any device, into one safetensors file, as a type that moefy
// computes on. Throws as io::SafetensorsWriter.
void WriteTensors(const TensorMap& tensors, const std::filesystem::path& path,
                  io::DType dtype = io::DType::kF32);

// Writes the checkpoint's weight files to `directory` with the `changed` tensors, which may be on
// any device, in place of its own and in the types that are stored. Throws as
// io::RewriteCheckpoint.
void RewriteTensors(const io::Checkpoint& checkpoint, const TensorMap& changed,
                    const std::filesystem::path& directory);

}  // namespace moefy::model
