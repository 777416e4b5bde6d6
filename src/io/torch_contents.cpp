#include "io/torch_contents.h"

#include <cstring>

#include "base/content_hint.h"
#include "io/mapped_file.h"
#include "io/zip_directory.h"
#include "moefy/base/error.h"

namespace moefy::io {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::string_view kZipMagic = "PK\x03\x04";
constexpr std::string_view kEmptyZipMagic = "PK\x05\x06";

std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// "PREFIX/" of an archive with a PREFIX/data.pkl.
std::string ArchivePrefix(const ZipEntries& entries) {
  constexpr std::string_view kPickle = "/data.pkl";
  std::vector<std::string> prefixes;
  for (const auto& [name, bytes] : entries) {
    if (name.ends_with(kPickle) && name.find('/') == name.size() - kPickle.size()) {
      prefixes.emplace_back(name.substr(0, name.size() - kPickle.size() + 1));
    }
  }
  if (prefixes.size() != 1) {
    throw InputError("a zip archive with ", prefixes.size(),
                     " entries PREFIX/data.pkl; torch.save writes one");
  }
  return prefixes.front();
}

// Reads the zip format: PREFIX/data.pkl and PREFIX/data/KEY.
TorchContents ReadZip(Bytes file) {
  const ZipEntries entries = ReadZipDirectory(file);
  const std::string prefix = ArchivePrefix(entries);
  if (entries.contains(prefix + "constants.pkl")) {
    throw InputError("is a TorchScript archive; only LibTorch reads it, see model::OpenCheckpoint");
  }
  if (const auto order = entries.find(prefix + "byteorder");
      order != entries.end() && AsText(order->second) != "little") {
    throw InputError("was written with byte order ", Quoted(AsText(order->second)),
                     "; moefy reads 'little'");
  }
  TorchContents contents;
  Bytes bytes = entries.at(prefix + "data.pkl");
  contents.pickle = pickle::Parse(bytes);
  for (const pickle::Value& node : contents.pickle.nodes) {
    const auto* storage = std::get_if<pickle::Storage>(&node);
    if (!storage) continue;
    const std::string name = StrCat(prefix, "data/", storage->key);
    const auto entry = entries.find(name);
    if (entry == entries.end()) {
      throw InputError("storage ", Quoted(storage->key), " has no entry ", Quoted(name));
    }
    contents.storages.emplace(storage->key, entry->second);
  }
  return contents;
}

// The first pickle of such a file holds this number and nothing else.
constexpr std::string_view kLegacyMagic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
                                        15);
constexpr int64_t kLegacyVersion = 1001;

void CheckLegacyHeader(Bytes& bytes) {
  bytes = bytes.subspan(kLegacyMagic.size());
  const pickle::Pickle version = pickle::Parse(bytes);
  const auto* number = std::get_if<int64_t>(&version[version.root]);
  if (!number || *number != kLegacyVersion) {
    throw InputError("a torch.save file of an unknown version", number ? StrCat(", ", *number) : "",
                     "; expected ", kLegacyVersion);
  }
  const pickle::Pickle system = pickle::Parse(bytes);
  const auto* dict = std::get_if<pickle::Dict>(&system[system.root]);
  if (!dict) throw InputError("its third pickle is not a dict about the system");
  for (size_t i = 0; i + 1 < dict->items.size(); i += 2) {
    const auto* key = std::get_if<pickle::Text>(&system[dict->items[i]]);
    const auto* value = std::get_if<bool>(&system[dict->items[i + 1]]);
    if (key && key->utf8 == "little_endian" && value && !*value) {
      throw InputError("was written on a big-endian machine; moefy reads little-endian");
    }
  }
}

// Reads the format before it: five pickles, then the storages.
TorchContents ReadLegacy(Bytes bytes) {
  CheckLegacyHeader(bytes);
  TorchContents contents;
  contents.pickle = pickle::Parse(bytes);
  std::map<std::string_view, const pickle::Storage*> storages;
  for (const pickle::Value& node : contents.pickle.nodes) {
    if (const auto* storage = std::get_if<pickle::Storage>(&node)) {
      storages.emplace(storage->key, storage);
    }
  }
  const pickle::Pickle keys = pickle::Parse(bytes);
  const auto* list = std::get_if<pickle::List>(&keys[keys.root]);
  if (!list) throw InputError("its fifth pickle is not the list of storages");
  for (const pickle::NodeId id : list->items) {
    const auto* key = std::get_if<pickle::Text>(&keys[id]);
    const auto storage = key ? storages.find(key->utf8) : storages.end();
    if (storage == storages.end()) throw InputError("lists a storage that no tensor uses");
    uint64_t num_elements = 0;
    if (bytes.size() < sizeof num_elements) {
      throw InputError("storage ", Quoted(key->utf8), " is missing: the file is cut short");
    }
    std::memcpy(&num_elements, bytes.data(), sizeof num_elements);
    bytes = bytes.subspan(sizeof num_elements);
    const uint64_t element_bytes = TorchElementBytes(storage->second->dtype);
    if (num_elements > bytes.size() / element_bytes) {
      throw InputError("storage ", Quoted(key->utf8), " has ", num_elements, " elements of ",
                       element_bytes, " bytes; only ", bytes.size(),
                       " bytes follow: the file is cut short");
    }
    contents.storages.emplace(key->utf8, bytes.first(num_elements * element_bytes));
    bytes = bytes.subspan(num_elements * element_bytes);
  }
  return contents;
}

}  // namespace

uint64_t TorchElementBytes(std::optional<DType> dtype) {
  return dtype ? static_cast<uint64_t>(DTypeBits(*dtype)) / 8 : 1;
}

TorchContents ReadTorchContents(Bytes file) {
  const std::string_view text = AsText(file);
  if (text.starts_with(kZipMagic) || text.starts_with(kEmptyZipMagic)) return ReadZip(file);
  if (text.starts_with(kLegacyMagic)) return ReadLegacy(file);
  throw InputError("is not a file of torch.save",
                   text.starts_with('\x80') ? ", but another Python pickle"
                   : text.substr(0, 512).find("ustar") != std::string_view::npos
                       ? ", or of torch 0.1; load and save it with a newer one"
                   : text.size() > 9 && text[8] == '{' ? "; it looks like safetensors: rename it"
                                                       : ContentHint(text));
}

bool IsTorchScript(const std::filesystem::path& path) {
  try {
    const MappedFile file(path);
    if (!AsText(file.bytes()).starts_with(kZipMagic)) return false;
    const ZipEntries entries = ReadZipDirectory(file.bytes());
    return entries.contains(ArchivePrefix(entries) + "constants.pkl");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    return false;  // the reader says what is wrong with it
  }
}

}  // namespace moefy::io
