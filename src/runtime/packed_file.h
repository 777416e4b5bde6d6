// Packed weights on disk, as `moefy pack` writes them: a safetensors file whose tensors are the
// bytes that the kernels read. Loading it maps it. Format: docs/formats.md, "Packed checkpoint".
// Thread-safety: one caller at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "moefy/io/checkpoint.h"
#include "runtime/weight_arena.h"
#include "runtime/weight_format.h"

namespace moefy::runtime {

// Allocates what is asked for, and keeps it under its names until it is written.
class PackedRecorder final : public PackedStore {
 public:
  PackedBytes Take(const std::string& name, int64_t bytes) override;
  // Throws Error{kSystem} when the disk is full.
  void Write(const std::filesystem::path& file, WeightFormat format) const;
  int64_t TotalBytes() const;

 private:
  struct Kept {
    std::string name;
    std::shared_ptr<void> memory;
    int64_t bytes;
  };
  std::vector<Kept> kept_;
};

// The packed weights of a checkpoint.
class PackedFile final : public PackedStore {
 public:
  // Null when the checkpoint's directory holds none. Throws Error{kInput} for a file that this
  // version cannot read.
  static std::unique_ptr<PackedFile> Find(const io::Checkpoint& checkpoint);

  WeightFormat format() const { return format_; }
  // Throws Error{kInput} when the file has no such bytes.
  PackedBytes Take(const std::string& name, int64_t bytes) override;
  // Throws Error{kUsage} unless that is the format of the file.
  void RequireFormat(WeightFormat wanted) const;

 private:
  PackedFile(std::shared_ptr<const io::TensorFile> file, WeightFormat format)
      : file_(std::move(file)), format_(format) {}

  std::shared_ptr<const io::TensorFile> file_;
  WeightFormat format_;
};

// The format that weights are to be kept in: the one that is asked for, or, for "", the one in
// which the checkpoint holds them packed, or else F32. Error{kUsage} for an unknown name.
WeightFormat WantedFormat(const std::string& asked, const io::Checkpoint& checkpoint);

}  // namespace moefy::runtime
