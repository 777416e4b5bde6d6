// Reader of one NumPy array, as numpy.save writes it: one tensor called "npy".
// Format: numpy.lib.format, versions 1 to 3; little-endian, row-major arrays of numbers.
// Thread-safety: reading is thread-safe.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "io/mapped_file.h"
#include "io/tensor_file.h"

namespace moefy::io {

class NpyFile final : public TensorFile {
 public:
  // Throws Error{kInput}, beginning with the path, for a file of any other kind.
  explicit NpyFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const override { return file_.path(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const TensorInfo* Find(std::string_view name) const override;
  std::span<const std::byte> Bytes(const TensorInfo& info) const override;

 private:
  MappedFile file_;
  std::vector<TensorInfo> tensors_;  // one; begin and end count from the file's begin
};

}  // namespace moefy::io
