#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "moefy/base/error.h"
#include "moefy/base/progress.h"

namespace moefy {
namespace {

// The most that one call moves. Linux stops at 2 GiB anyway.
constexpr size_t kMaxCallBytes = size_t{1} << 30;

void SyncDescriptor(int descriptor, const std::filesystem::path& path) {
  // EINVAL and EROFS come from devices and file systems that have nothing to sync.
  if (::fsync(descriptor) != 0 && errno != EINVAL && errno != EROFS) {
    throw SystemError(errno, path, ": cannot be synced to disk");
  }
}

}  // namespace

File::File(std::filesystem::path path, int flags) : path_(std::move(path)) {
  do {
    descriptor_ = ::open(path_.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0666);
  } while (descriptor_ < 0 && errno == EINTR);
}

File File::Open(const std::filesystem::path& path) {
  File file(path, O_RDONLY);
  if (file.descriptor_ < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
      std::error_code no_link;
      const auto target = std::filesystem::read_symlink(path, no_link);
      if (no_link) throw InputError(path, ": no such file");
      throw InputError(path, ": a link to ", target,
                       ", which is not there; a download that did not finish leaves such links: "
                       "download it again");
    }
    if (error == ENAMETOOLONG || error == ELOOP) {  // the name came out of a file, or is wrong
      throw InputError(Quoted(path.string()), ": ", SystemMessage(error));
    }
    throw SystemError(error, path, ": cannot be opened");
  }
  struct stat status;
  if (::fstat(file.descriptor_, &status) != 0) throw SystemError(errno, path);
  if (S_ISDIR(status.st_mode)) throw InputError(path, ": a directory, not a file");
  if (!S_ISREG(status.st_mode)) throw InputError(path, ": not a regular file");
  file.size_ = static_cast<uint64_t>(status.st_size);
  return file;
}

File File::Create(const std::filesystem::path& path) {
  File file(path, O_WRONLY | O_CREAT);
  if (file.descriptor_ < 0) throw SystemError(errno, path, ": cannot be created");
  struct stat status;
  if (::fstat(file.descriptor_, &status) != 0) throw SystemError(errno, path);
  if (S_ISREG(status.st_mode) && status.st_size != 0) {
    throw SystemError(EEXIST, path, ": cannot be created");
  }
  return file;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(std::exchange(other.size_, 0)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  return *this;
}

void File::Reserve(uint64_t num_bytes) {
  if (num_bytes == 0) return;
  if (::fallocate(descriptor_, 0, 0, static_cast<off_t>(num_bytes)) != 0 && errno == ENOSPC) {
    throw SystemError(ENOSPC, path_, ": cannot hold ", FormatBytes(num_bytes));
  }
}

void File::ReadAt(uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t num_read =
        ::pread(descriptor_, bytes.data(), std::min(bytes.size(), kMaxCallBytes),
                static_cast<off_t>(offset));
    if (num_read < 0 && errno == EINTR) continue;
    if (num_read < 0) throw SystemError(errno, path_, ": cannot be read");
    if (num_read == 0) throw SystemError(0, path_, ": became shorter while it was read");
    bytes = bytes.subspan(static_cast<size_t>(num_read));
    offset += static_cast<uint64_t>(num_read);
  }
}

void File::WriteAt(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t num_written =
        ::pwrite(descriptor_, bytes.data(), std::min(bytes.size(), kMaxCallBytes),
                 static_cast<off_t>(offset));
    if (num_written < 0 && errno == EINTR) continue;
    if (num_written < 0 && errno == EFAULT) {  // the bytes lie in a mapped file that has lost them
      throw SystemError(0, path_, ": cannot be written, because an input became shorter meanwhile");
    }
    if (num_written < 0) throw SystemError(errno, path_, ": cannot be written");
    bytes = bytes.subspan(static_cast<size_t>(num_written));
    offset += static_cast<uint64_t>(num_written);
  }
}

void File::Sync() { SyncDescriptor(descriptor_, path_); }

void CopyFile(const std::filesystem::path& from, const std::filesystem::path& to) {
  constexpr uint64_t kChunkBytes = 8 << 20;
  const File source = File::Open(from);
  File target = File::Create(to);
  target.Reserve(source.size());
  std::vector<std::byte> chunk;
  for (uint64_t done = 0; done < source.size(); done += chunk.size()) {
    ThrowIfInterrupted();
    chunk.resize(std::min(kChunkBytes, source.size() - done));
    source.ReadAt(done, chunk);
    target.WriteAt(done, chunk);
  }
}

void SyncDirectory(const std::filesystem::path& directory) {
  const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw SystemError(errno, directory, ": cannot be opened");
  try {
    SyncDescriptor(descriptor, directory);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
  ::close(descriptor);
}

}  // namespace moefy
