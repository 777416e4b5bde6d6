#include "io/mapped_file.h"

#include <sys/mman.h>

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "base/file.h"
#include "base/input_watch.h"
#include "io/mapped_at.h"
#include "moefy/base/error.h"

namespace moefy::io {
namespace {

// The files that are mapped now. ReleaseMappedPages must never touch other memory.
class Mappings {
 public:
  void Add(std::span<const std::byte> bytes, const File& file) {
    const std::lock_guard lock(mutex_);
    files_.emplace(bytes.data(),
                   Mapped{bytes.size(), file.path(), InputWatch(file.path(), file.descriptor())});
  }
  void Remove(std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    files_.erase(bytes.data());
  }
  // The file that maps all of `bytes`, or "".
  std::filesystem::path Find(std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    auto after = files_.upper_bound(bytes.data());
    if (after == files_.begin()) return {};
    const auto& [begin, file] = *--after;
    if (bytes.data() + bytes.size() > begin + file.size) return {};
    return file.path;
  }

 private:
  struct Mapped {
    size_t size;
    std::filesystem::path path;
    InputWatch watch;
  };
  std::mutex mutex_;
  std::map<const std::byte*, Mapped> files_;  // sorted by where they begin
};

Mappings& AllMappings() {
  static auto* mappings = new Mappings;  // never destroyed: mapped files may outlive it
  return *mappings;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const File file = File::Open(path);
  if (file.size() == 0) return;  // mmap refuses an empty range
  void* address = ::mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (address == MAP_FAILED) throw SystemError(errno, path, ": cannot be mapped into memory");
  bytes_ = {static_cast<const std::byte*>(address), file.size()};
  AllMappings().Add(bytes_, file);
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  AllMappings().Remove(bytes_);
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

std::filesystem::path FindMappedFile(const void* address) {
  return AllMappings().Find({static_cast<const std::byte*>(address), 1});
}

void ReleaseMappedPages(std::span<const std::byte> bytes) {
  if (bytes.empty() || AllMappings().Find(bytes).empty()) return;
  // Releases whole pages only: the ends may belong to neighbours that are still being read.
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t before = (page - reinterpret_cast<uintptr_t>(bytes.data()) % page) % page;
  if (bytes.size() < before + page) return;
  const std::span<const std::byte> inner =
      bytes.subspan(before, (bytes.size() - before) / page * page);
  ::madvise(const_cast<std::byte*>(inner.data()), inner.size(), MADV_DONTNEED);
}

}  // namespace moefy::io
