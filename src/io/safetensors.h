// Reader and writer of single safetensors files.
// Format: 8 bytes little-endian header length N, N bytes of JSON, then the tensors without holes.
// Thread-safety: a SafetensorsFile may be read from many threads; a writer has one owner.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/mapped_file.h"
#include "io/tensor_file.h"
#include "moefy/base/progress.h"
#include "moefy/io/tensor_info.h"

namespace moefy::io {

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<TensorInfo> tensors;  // sorted by position in the file
  uint64_t data_begin = 0;          // 8 + N
};

// Checks everything that the format promises before it returns anything. Throws Error{kInput},
// without the file's name, where a promise is broken. `file_bytes` are the whole file.
SafetensorsHeader ParseSafetensorsHeader(std::span<const std::byte> file_bytes);

class SafetensorsFile final : public TensorFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);  // messages start with the path

  const std::filesystem::path& path() const override { return file_.path(); }
  const std::map<std::string, std::string>& metadata() const override { return header_.metadata; }
  const std::vector<TensorInfo>& tensors() const override { return header_.tensors; }
  const TensorInfo* Find(std::string_view name) const override;
  std::span<const std::byte> HeaderBytes() const override;
  std::span<const std::byte> Bytes(const TensorInfo& info) const override;

 private:
  MappedFile file_;
  SafetensorsHeader header_;
  std::map<std::string, size_t, std::less<>> index_;
};

// Streams a file whose tensors are all declared first; their `begin` and `end` are ignored and
// assigned. Tensors are ordered by dtype (the enum's order, descending), then by name, which aligns
// every tensor and is what the reference library writes. Spaces pad the header, so that the first
// tensor begins at a multiple of `alignment` bytes of the file.
class SafetensorsWriter {
 public:
  // Throws Error{kSystem} when `path` cannot be created or holds something already, and when the
  // disk is full. Names must be distinct and not "__metadata__", and shapes must fill whole bytes
  // (MOEFY_CHECK).
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> tensors,
                    std::map<std::string, std::string> metadata = {{"format", "pt"}},
                    uint64_t alignment = 8);
  // A file with the header of `like`, a safetensors file, byte for byte.
  SafetensorsWriter(const std::filesystem::path& path, const TensorFile& like);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // Writes a declared tensor. Each must be written exactly once, in any order. Advances `progress`,
  // if there is one, by its bytes, and throws what that throws.
  void Write(std::string_view name, std::span<const std::byte> bytes, Progress* progress = nullptr);
  // Writes the header and syncs. Until then the file is not a valid one. Every tensor must have
  // been written (MOEFY_CHECK). Throws Error{kSystem} on a full disk.
  void Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace moefy::io
