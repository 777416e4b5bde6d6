// A file mapped read-only. Movable; reading is thread-safe.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace moefy::io {

class MappedFile {
 public:
  // Throws Error{kInput} when `path` is missing or not a regular file, Error{kSystem} when the
  // system refuses. The size is taken once, here.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

// Takes the pages of a mapped file that hold `bytes` out of this process's memory. They come back
// from the file when they are read again. Leaves other memory alone. Thread-safe.
void ReleaseMappedPages(std::span<const std::byte> bytes);

}  // namespace moefy::io
