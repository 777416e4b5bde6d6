#include "io/torch_file.h"

#include <cstring>
#include <mutex>

#include "base/content_hint.h"
#include "io/pickle.h"
#include "io/state_dict.h"
#include "io/zip_directory.h"
#include "moefy/base/error.h"
#include "moefy/io/mapped_file.h"

namespace moefy::io {
namespace {

using Bytes = std::span<const std::byte>;

constexpr std::string_view kZipMagic = "PK\x03\x04";
constexpr std::string_view kEmptyZipMagic = "PK\x05\x06";
constexpr size_t kMaxRank = 64;
// The most bytes of all tensors whose elements are repeated (torch.expand), which a small file may
// make large.
constexpr uint64_t kMaxRepeatedBytes = 16 << 20;

// A tensor's elements within its storage.
struct View {
  Bytes storage;
  uint64_t offset = 0;            // of the first element, in bytes
  std::vector<uint64_t> strides;  // in elements; empty when the elements lie in order
};

// The pickle of a file, and its raw storages by key.
struct Contents {
  pickle::Pickle pickle;
  std::map<std::string, Bytes, std::less<>> storages;
};

std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

uint64_t ElementBytes(std::optional<DType> dtype) {
  return dtype ? static_cast<uint64_t>(DTypeBits(*dtype)) / 8 : 1;
}

// --- the zip format: PREFIX/data.pkl, PREFIX/data/KEY ---

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

Contents ReadZip(Bytes file) {
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
  Contents contents;
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

// --- the format before it: five pickles, then the storages ---

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

Contents ReadLegacy(Bytes bytes) {
  CheckLegacyHeader(bytes);
  Contents contents;
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
    const uint64_t element_bytes = ElementBytes(storage->second->dtype);
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

Contents ReadContents(Bytes file) {
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

// --- tensors ---

std::vector<uint64_t> Extents(const pickle::Pickle& pickle, pickle::NodeId id, const char* what) {
  const auto* tuple = std::get_if<pickle::Tuple>(&pickle[id]);
  if (!tuple || tuple->items.size() > kMaxRank) {
    throw InputError("its ", what, " is not a tuple of at most ", kMaxRank, " numbers");
  }
  std::vector<uint64_t> extents;
  for (const pickle::NodeId item : tuple->items) {
    const auto* value = std::get_if<int64_t>(&pickle[item]);
    if (!value || *value < 0) {
      throw InputError("its ", what, " holds ", value ? StrCat(*value) : "something else",
                       "; expected numbers from 0 on");
    }
    extents.push_back(static_cast<uint64_t>(*value));
  }
  return extents;
}

bool InOrder(const std::vector<uint64_t>& shape, const std::vector<uint64_t>& strides) {
  uint64_t expected = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1) continue;  // whose stride means nothing
    if (strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

// The place behind the last element, counted from the storage's begin; nullopt when that overflows.
std::optional<uint64_t> EndElement(uint64_t offset, const std::vector<uint64_t>& shape,
                                   const std::vector<uint64_t>& strides) {
  uint64_t last = offset;
  for (size_t d = 0; d < shape.size(); ++d) {
    uint64_t reach = 0;
    if (__builtin_mul_overflow(shape[d] - 1, strides[d], &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      return std::nullopt;
    }
  }
  uint64_t end = 0;
  return __builtin_add_overflow(last, 1, &end) ? std::nullopt : std::optional(end);
}

// Checks that a storage is as long as the pickle says and gives the bytes of its view.
Bytes StorageBytes(const Contents& contents, const pickle::Storage& storage) {
  const auto found = contents.storages.find(storage.key);
  if (found == contents.storages.end()) {
    throw InputError("storage ", Quoted(storage.key), " is missing");
  }
  const uint64_t element_bytes = ElementBytes(storage.dtype);
  if (found->second.size() % element_bytes != 0 ||
      found->second.size() / element_bytes != storage.root_elements) {
    throw InputError("storage ", Quoted(storage.key), " has ", found->second.size(),
                     " bytes in the file; the pickle wants ", storage.root_elements,
                     " elements of ", element_bytes);
  }
  return found->second.subspan(storage.view_begin * element_bytes,
                               storage.num_elements * element_bytes);
}

}  // namespace

struct TorchFile::Impl {
  explicit Impl(const std::filesystem::path& path) : file(path) {
    WithContext(path.string(), [&] { Read(); });
  }

  void Read() {
    const Contents contents = ReadContents(file.bytes());
    StateDict state = FindStateDict(contents.pickle);
    warnings = std::move(state.warnings);
    for (const auto& entry : state.tensors) {
      WithContext("tensor " + Quoted(entry.first),
                  [&] { Add(contents, entry.first, entry.second); });
    }
  }

  void Add(const Contents& contents, const std::string& name, pickle::NodeId node) {
    const auto& tensor = std::get<pickle::Tensor>(contents.pickle[node]);
    const auto* storage = std::get_if<pickle::Storage>(&contents.pickle[tensor.storage]);
    const auto* offset = std::get_if<int64_t>(&contents.pickle[tensor.offset]);
    const std::optional<DType> dtype = tensor.dtype ? tensor.dtype
                                       : storage    ? storage->dtype
                                                    : std::nullopt;
    if (!storage || !offset || *offset < 0 || !dtype) {
      throw InputError("has no storage, dtype or offset");
    }
    TensorInfo info;
    info.name = name;
    info.dtype = *dtype;
    info.shape = Extents(contents.pickle, tensor.shape, "shape");
    View view;
    view.strides = Extents(contents.pickle, tensor.strides, "strides");
    if (view.strides.size() != info.shape.size()) {
      throw InputError("has ", info.shape.size(), " extents, but ", view.strides.size(),
                       " strides");
    }
    const auto num_bytes = NumBytes(info.shape, info.dtype);
    if (!num_bytes) throw InputError("shape ", FormatShape(info.shape), " overflows 64 bits");
    info.end = *num_bytes;
    view.storage = StorageBytes(contents, *storage);
    const uint64_t element_bytes = ElementBytes(dtype);
    const uint64_t storage_elements = view.storage.size() / element_bytes;
    const auto end = info.num_bytes() == 0
                         ? 0
                         : EndElement(static_cast<uint64_t>(*offset), info.shape, view.strides);
    if (!end || *end > storage_elements) {
      throw InputError("shape ", FormatShape(info.shape), ", strides ", FormatShape(view.strides),
                       ", offset ", *offset, " reach outside its storage of ", storage_elements,
                       " elements");
    }
    view.offset = info.num_bytes() == 0 ? 0 : static_cast<uint64_t>(*offset) * element_bytes;
    if (info.num_bytes() == 0 || InOrder(info.shape, view.strides)) view.strides.clear();
    if (info.num_bytes() > view.storage.size() &&
        (repeated_bytes += info.num_bytes()) > kMaxRepeatedBytes) {
      throw InputError("repeats the ", view.storage.size(), " bytes of its storage to ",
                       info.num_bytes(), "; at most ", kMaxRepeatedBytes,
                       " bytes per file may be made so; save tensor.contiguous()");
    }
    index.emplace(name, tensors.size());
    tensors.push_back(std::move(info));
    views.push_back(std::move(view));
  }

  // The elements in row-major order.
  std::vector<std::byte> Gather(const TensorInfo& info, const View& view) const {
    const uint64_t element_bytes = ElementBytes(info.dtype);
    std::vector<std::byte> out(info.num_bytes());
    std::vector<uint64_t> at(info.shape.size());
    for (uint64_t done = 0; done < out.size(); done += element_bytes) {
      uint64_t element = 0;
      for (size_t d = 0; d < at.size(); ++d) element += at[d] * view.strides[d];
      std::memcpy(out.data() + done, view.storage.data() + view.offset + element * element_bytes,
                  element_bytes);
      for (size_t d = at.size(); d-- > 0;) {
        if (++at[d] < info.shape[d]) break;
        at[d] = 0;
      }
    }
    return out;
  }

  MappedFile file;
  std::vector<TensorInfo> tensors;
  std::vector<View> views;
  std::map<std::string, size_t, std::less<>> index;
  std::vector<std::string> warnings;
  uint64_t repeated_bytes = 0;
  std::mutex mutex;
  std::map<size_t, std::vector<std::byte>> gathered;  // guarded by `mutex`
};

TorchFile::TorchFile(const std::filesystem::path& path) : impl_(std::make_unique<Impl>(path)) {}

TorchFile::~TorchFile() = default;

const std::filesystem::path& TorchFile::path() const { return impl_->file.path(); }
const std::vector<TensorInfo>& TorchFile::tensors() const { return impl_->tensors; }
std::vector<std::string> TorchFile::Warnings() const { return impl_->warnings; }

const TensorInfo* TorchFile::Find(std::string_view name) const {
  const auto found = impl_->index.find(name);
  return found == impl_->index.end() ? nullptr : &impl_->tensors[found->second];
}

std::span<const std::byte> TorchFile::Bytes(const TensorInfo& info) const {
  const auto found = impl_->index.find(info.name);
  MOEFY_CHECK(found != impl_->index.end());
  const TensorInfo& own = impl_->tensors[found->second];
  const View& view = impl_->views[found->second];
  if (view.strides.empty()) return view.storage.subspan(view.offset, own.num_bytes());
  const std::lock_guard lock(impl_->mutex);
  const auto [place, is_new] = impl_->gathered.try_emplace(found->second);
  if (is_new) place->second = impl_->Gather(own, view);
  return place->second;
}

bool IsTorchScript(const std::filesystem::path& path) {
  try {
    const MappedFile file(path);
    if (!AsText(file.bytes()).starts_with(kZipMagic)) return false;
    const ZipEntries entries = ReadZipDirectory(file.bytes());
    return entries.contains(ArchivePrefix(entries) + "constants.pkl");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    return false;  // whoever reads it says what is wrong with it
  }
}

}  // namespace moefy::io
