#include "moefy/io/mapped_file.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "moefy/base/error.h"
#include "moefy/base/file.h"

namespace moefy::io {

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const File file = File::Open(path);
  if (file.size() == 0) return;  // mmap refuses an empty range
  void* address = ::mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (address == MAP_FAILED) throw SystemError(errno, path, ": cannot be mapped into memory");
  bytes_ = {static_cast<const std::byte*>(address), file.size()};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace moefy::io
