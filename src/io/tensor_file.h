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
  // The bytes of a tensor, given this file's own `info`: little-endian, row-major, NOT necessarily
  // aligned. They live as long as the file.
  virtual std::span<const std::byte> Bytes(const TensorInfo& info) const = 0;
  // The first 8 + N bytes of a safetensors file as they are, for a copy that differs in tensor
  // bytes only. Empty in other formats.
  virtual std::span<const std::byte> HeaderBytes() const { return {}; }
  // What the writer noted beside the tensors. Empty in formats without a place for notes.
  virtual const std::map<std::string, std::string>& metadata() const {
    static const std::map<std::string, std::string> none;
    return none;
  }
  // Sentences that whoever reads the file should know.
  virtual std::vector<std::string> Warnings() const { return {}; }

 protected:
  TensorFile() = default;
  TensorFile(const TensorFile&) = default;
  TensorFile& operator=(const TensorFile&) = default;
  TensorFile(TensorFile&&) = default;
  TensorFile& operator=(TensorFile&&) = default;
};

// Opens a file by its name's ending: .safetensors; .bin, .pt, .pth; .npy. Throws Error{kInput} for
// any other ending, and what the format's reader throws.
std::shared_ptr<const TensorFile> OpenTensorFile(const std::filesystem::path& path);

}  // namespace moefy::io
