#include "io/zip_directory.h"

#include <algorithm>
#include <cstring>

#include "moefy/base/error.h"

namespace moefy::io {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kEnd64Locator = 0x07064b50;
constexpr size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56,
                 kLocatorBytes = 20;
constexpr size_t kMaxCommentBytes = 65535;
constexpr uint16_t kZip64Extra = 1;
constexpr uint32_t kIn64 = 0xffffffff;  // "the real value is in the Zip64 field"

// Little-endian fields of the archive, every access checked.
class Fields {
 public:
  explicit Fields(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> Range(uint64_t offset, uint64_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) {
      throw InputError("zip archive: bytes ", offset, " to ", offset + size,
                       " are wanted of a file of ", bytes_.size(), ": it is cut short or damaged");
    }
    return bytes_.subspan(offset, size);
  }
  template <typename T>
  uint64_t Get(uint64_t offset) const {
    T value;
    std::memcpy(&value, Range(offset, sizeof value).data(), sizeof value);
    return value;
  }
  uint64_t U16(uint64_t offset) const { return Get<uint16_t>(offset); }
  uint64_t U32(uint64_t offset) const { return Get<uint32_t>(offset); }
  uint64_t U64(uint64_t offset) const { return Get<uint64_t>(offset); }
  std::string_view Text(uint64_t offset, uint64_t size) const {
    const auto range = Range(offset, size);
    return {reinterpret_cast<const char*>(range.data()), range.size()};
  }
  uint64_t size() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
};

struct Directory {
  uint64_t offset, size, num_entries;
};

// Finds the end record. Only a comment may follow it, whose length it gives.
uint64_t FindEnd(const Fields& file) {
  if (file.size() >= kEndBytes) {
    const uint64_t last = file.size() - kEndBytes;
    const uint64_t first = last - std::min<uint64_t>(last, kMaxCommentBytes);
    for (uint64_t at = last + 1; at-- > first;) {
      if (file.U32(at) == kEnd && at + kEndBytes + file.U16(at + 20) == file.size()) return at;
    }
  }
  throw InputError("zip archive without a directory at its end: it is cut short");
}

Directory FindDirectory(const Fields& file) {
  const uint64_t end = FindEnd(file);
  if (end >= kLocatorBytes && file.U32(end - kLocatorBytes) == kEnd64Locator) {
    const uint64_t end64 = file.U64(end - kLocatorBytes + 8);
    file.Range(end64, kEnd64Bytes);
    if (file.U32(end64) != kEnd64) throw InputError("zip archive: no Zip64 record at ", end64);
    return {file.U64(end64 + 48), file.U64(end64 + 40), file.U64(end64 + 32)};
  }
  return {file.U32(end + 16), file.U32(end + 12), file.U16(end + 10)};
}

// What the directory says of one entry.
struct Central {
  std::string_view name;
  uint64_t stored_bytes, num_bytes, local_header;
};

// A 32-bit value of all ones says that the real one is in the Zip64 field, which holds only such
// values. Replaces them.
void ReadZip64(const Fields& file, uint64_t begin, uint64_t size, Central& entry) {
  for (uint64_t at = begin; at + 4 <= begin + size;) {
    const uint64_t id = file.U16(at), length = file.U16(at + 2);
    if (id == kZip64Extra) {
      uint64_t value = at + 4;
      for (uint64_t* field : {&entry.num_bytes, &entry.stored_bytes, &entry.local_header}) {
        if (*field != kIn64) continue;
        if (value + 8 > at + 4 + length) break;
        *field = file.U64(value);
        value += 8;
      }
      return;
    }
    at += 4 + length;
  }
}

std::span<const std::byte> ContentsOf(const Fields& file, const Central& entry, uint64_t data_end) {
  const uint64_t at = entry.local_header;
  const auto what = [&] { return StrCat("zip archive: entry ", Quoted(entry.name)); };
  file.Range(at, kLocalBytes);
  if (file.U32(at) != kLocalHeader) throw InputError(what(), " has no header at byte ", at);
  const uint64_t name_bytes = file.U16(at + 26);
  if (file.Text(at + kLocalBytes, name_bytes) != entry.name) {
    throw InputError(what(), " has another name in its own header");
  }
  const uint64_t data = at + kLocalBytes + name_bytes + file.U16(at + 28);
  if (data > data_end || entry.num_bytes > data_end - data) {
    throw InputError(what(), " has ", entry.num_bytes, " bytes from byte ", data,
                     " on; the directory begins at ", data_end);
  }
  return file.Range(data, entry.num_bytes);
}

}  // namespace

ZipEntries ReadZipDirectory(std::span<const std::byte> bytes) {
  const Fields file(bytes);
  const Directory directory = FindDirectory(file);
  file.Range(directory.offset, directory.size);
  if (directory.num_entries > directory.size / kCentralBytes) {
    throw InputError("zip archive: ", directory.num_entries, " entries in a directory of ",
                     directory.size, " bytes");
  }
  ZipEntries entries;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.num_entries; ++i) {
    file.Range(at, kCentralBytes);
    if (file.U32(at) != kCentralHeader) {
      throw InputError("zip archive: no directory entry at byte ", at);
    }
    const uint64_t flags = file.U16(at + 8), method = file.U16(at + 10);
    const uint64_t name_bytes = file.U16(at + 28), extra_bytes = file.U16(at + 30);
    Central entry{file.Text(at + kCentralBytes, name_bytes), file.U32(at + 20), file.U32(at + 24),
                  file.U32(at + 42)};
    ReadZip64(file, at + kCentralBytes + name_bytes, extra_bytes, entry);
    if (flags & 1) throw InputError("zip archive: entry ", Quoted(entry.name), " is encrypted");
    if (method != 0 || entry.stored_bytes != entry.num_bytes) {
      throw InputError("zip archive: entry ", Quoted(entry.name),
                       " is compressed; torch.save stores its entries as they are");
    }
    if (!entries.emplace(entry.name, ContentsOf(file, entry, directory.offset)).second) {
      throw InputError("zip archive: entry ", Quoted(entry.name), " appears twice");
    }
    at += kCentralBytes + name_bytes + extra_bytes + file.U16(at + 32);
  }
  if (at != directory.offset + directory.size) {
    throw InputError("zip archive: the directory has ", directory.size, " bytes; its entries fill ",
                     at - directory.offset);
  }
  return entries;
}

}  // namespace moefy::io
