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
  // Opens a file to read. Throws Error{kInput} when `path` is missing, empty or not a regular file,
  // Error{kSystem} when the system refuses. Never blocks: it refuses a named pipe.
  static File Open(const std::filesystem::path& path);
  // Creates a file to write, or opens an empty one. Throws Error{kSystem} for a file that holds
  // something, because it may be mapped somewhere and must not be truncated then.
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

// Copies the bytes of a file into a new one, which gets the permissions of new files. Throws as
// Open, ReadAt, Create and WriteAt, and Error{kInterrupted} between two pieces.
void CopyFile(const std::filesystem::path& from, const std::filesystem::path& to);

// Syncs a directory, which makes the renames inside it durable.
void SyncDirectory(const std::filesystem::path& directory);

}  // namespace moefy
