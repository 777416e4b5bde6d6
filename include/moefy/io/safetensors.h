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

#include "moefy/io/mapped_file.h"
#include "moefy/io/tensor_file.h"
#include "moefy/io/tensor_info.h"

namespace moefy::io {

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;
  std::vector<TensorInfo> tensors;  // sorted by position in the file
  uint64_t data_begin = 0;          // 8 + N
};

// Checks everything the format promises before anything is returned; Error{kInput} otherwise,
// without the file's name. `file_bytes` are the whole file.
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

// Streams a file whose tensors are all declared first (`begin`/`end` are ignored and assigned).
// Order in the file: dtype in the order of the enum, descending, then name, which aligns every
// tensor and is what the reference library writes; header padded to 8 bytes with spaces.
class SafetensorsWriter {
 public:
  // Error{kSystem} when `path` cannot be created, holds something already, or the disk is full.
  // Names are distinct and not "__metadata__", shapes fill whole bytes: MOEFY_CHECK.
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorInfo> tensors,
                    std::map<std::string, std::string> metadata = {{"format", "pt"}});
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // Each declared tensor exactly once, in any order.
  void Write(std::string_view name, std::span<const std::byte> bytes);
  // MOEFY_CHECKs that every tensor was written, writes the header, syncs and closes; a file that
  // was never finished is not a valid one. Error{kSystem} on a full disk.
  void Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace moefy::io
