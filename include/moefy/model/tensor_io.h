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

// The type of a tensor that is stored so, if it is one moefy computes on: F32, F16, BF16 or F64.
std::optional<at::ScalarType> ComputableType(io::DType dtype);

// Error{kInput} naming the tensor and the first element that is NaN or infinite, if there is one.
// In parallel, at the speed of memory.
void RequireFinite(const io::TensorInfo& info, std::span<const std::byte> bytes);

// Bytes as stored -> an F32 tensor of ours (a copy). Error{kInput} for dtypes we do not compute on,
// and for values that are not finite, or would not be as F32.
at::Tensor ReadTensor(const io::Checkpoint& checkpoint, const std::string& name);

// All of them, on any device, into one safetensors file, as a type that moefy computes on. Throws
// as io::SafetensorsWriter.
void WriteTensors(const TensorMap& tensors, const std::filesystem::path& path,
                  io::DType dtype = io::DType::kF32);

// The checkpoint's weight files again in `directory`, with these tensors, on any device, in place
// of its own, in the type that is stored. Throws as io::RewriteCheckpoint.
void RewriteTensors(const io::Checkpoint& checkpoint, const TensorMap& changed,
                    const std::filesystem::path& directory);

}  // namespace moefy::model
