// A file descriptor that closes itself, and whose failures are Errors that name the file.
// Thread-safety: one owner; WriteAt on disjoint ranges may run in parallel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace moefy {

class File {
 public:
  // To read. Throws Error{kInput} when `path` is missing, no name at all or not a regular file,
  // Error{kSystem} when the system refuses. Never blocks (a named pipe is refused, not waited for).
  static File Open(const std::filesystem::path& path);
  // To write. A file that is there already must be empty: one that is mapped somewhere must never
  // be truncated. Error{kSystem} otherwise.
  static File Create(const std::filesystem::path& path);
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return descriptor_; }
  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }  // when it was opened

  // Sets room aside, so that a full disk is found before the work; does nothing where the file
  // system cannot.
  void Reserve(uint64_t num_bytes);
  void ReadAt(uint64_t offset, std::span<std::byte> bytes) const;
  void WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  void Sync();

 private:
  File(std::filesystem::path path, int flags);

  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

// The bytes of a file into a new one, which gets the permissions of new files. Errors as Open,
// ReadAt, Create and WriteAt; Error{kInterrupted} between two pieces.
void CopyFile(const std::filesystem::path& from, const std::filesystem::path& to);

// fsync of a directory, which makes the renames inside it durable.
void SyncDirectory(const std::filesystem::path& directory);

}  // namespace moefy
