// One file of tensors by name, whatever its format: what a checkpoint is made of.
// Thread-safety: reading is thread-safe.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moefy/io/tensor_info.h"

namespace moefy::io {

class TensorFile {
 public:
  virtual ~TensorFile() = default;

  virtual const std::filesystem::path& path() const = 0;
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  virtual const TensorInfo* Find(std::string_view name) const = 0;  // null when absent
  // The tensor's bytes, of this file's own `info`: little-endian, row-major, NOT necessarily
  // aligned. They live as long as the file.
  virtual std::span<const std::byte> Bytes(const TensorInfo& info) const = 0;
  // Of a safetensors file: the first 8 + N bytes as they are, for a copy that differs in tensor
  // bytes only. Empty in other formats.
  virtual std::span<const std::byte> HeaderBytes() const { return {}; }
  // What its writer noted beside the tensors; empty in formats that have no place for it.
  virtual const std::map<std::string, std::string>& metadata() const {
    static const std::map<std::string, std::string> none;
    return none;
  }
  // What whoever reads the file should know, a sentence each.
  virtual std::vector<std::string> Warnings() const { return {}; }

 protected:
  TensorFile() = default;
  TensorFile(const TensorFile&) = default;
  TensorFile& operator=(const TensorFile&) = default;
  TensorFile(TensorFile&&) = default;
  TensorFile& operator=(TensorFile&&) = default;
};

// By the name's ending: .safetensors; .bin, .pt, .pth; .npy. Throws Error{kInput} for another
// ending, and what the format's reader throws.
std::shared_ptr<const TensorFile> OpenTensorFile(const std::filesystem::path& path);

}  // namespace moefy::io
