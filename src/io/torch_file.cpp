#include "io/torch_file.h"

#include <cstring>
#include <mutex>

#include "io/mapped_file.h"
#include "io/state_dict.h"
#include "io/torch_contents.h"
#include "moefy/base/error.h"

namespace moefy::io {
namespace {

using Bytes = std::span<const std::byte>;

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
    if (shape[d] == 1) continue;  // its stride means nothing
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
Bytes StorageBytes(const TorchContents& contents, const pickle::Storage& storage) {
  const auto found = contents.storages.find(storage.key);
  if (found == contents.storages.end()) {
    throw InputError("storage ", Quoted(storage.key), " is missing");
  }
  const uint64_t element_bytes = TorchElementBytes(storage.dtype);
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
    const TorchContents contents = ReadTorchContents(file.bytes());
    StateDict state = FindStateDict(contents.pickle);
    warnings = std::move(state.warnings);
    for (const auto& entry : state.tensors) {
      WithContext("tensor " + Quoted(entry.first),
                  [&] { Add(contents, entry.first, entry.second); });
    }
  }

  void Add(const TorchContents& contents, const std::string& name, pickle::NodeId node) {
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
    const uint64_t element_bytes = TorchElementBytes(dtype);
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

  // Copies the elements in row-major order.
  std::vector<std::byte> Gather(const TensorInfo& info, const View& view) const {
    const uint64_t element_bytes = TorchElementBytes(info.dtype);
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

}  // namespace moefy::io
