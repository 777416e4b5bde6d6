#include "runtime/packed_file.h"

#include <map>
#include <numeric>
#include <span>
#include <utility>

#include "io/safetensors.h"
#include "io/tensor_file.h"
#include "model/unusable_weights.h"
#include "moefy/base/error.h"

namespace moefy::runtime {
namespace {

constexpr const char* kFormatKey = "format";
constexpr const char* kFormatName = "moefy.packed";
constexpr const char* kLayoutKey = "layout";
// Raised whenever the kernels read other bytes than before; tests/unit/runtime/packed_file_test.cpp
// notices when that was forgotten.
constexpr const char* kLayout = "1";
constexpr const char* kWeightsKey = "weights";

}  // namespace

PackedBytes PackedRecorder::Take(const std::string& name, int64_t bytes) {
  kept_.push_back({name, AllocateWeights(bytes), bytes});
  // What lies between the parts is written too, and shall be the same every time.
  std::fill_n(static_cast<std::byte*>(kept_.back().memory.get()), bytes, std::byte{0});
  return {kept_.back().memory};
}

int64_t PackedRecorder::TotalBytes() const {
  return std::accumulate(kept_.begin(), kept_.end(), int64_t{0},
                         [](int64_t sum, const Kept& kept) { return sum + kept.bytes; });
}

void PackedRecorder::Write(const std::filesystem::path& file, WeightFormat format) const {
  std::vector<io::TensorInfo> tensors;
  for (const Kept& kept : kept_) {
    io::TensorInfo info;
    info.name = kept.name;
    info.dtype = io::DType::kU8;
    info.shape = {static_cast<uint64_t>(kept.bytes)};
    tensors.push_back(std::move(info));
  }
  io::SafetensorsWriter writer(
      file, std::move(tensors),
      {{kFormatKey, kFormatName}, {kLayoutKey, kLayout}, {kWeightsKey, WeightFormatName(format)}},
      kPackedAlignment);
  for (const Kept& kept : kept_) {
    writer.Write(kept.name, {static_cast<const std::byte*>(kept.memory.get()),
                             static_cast<size_t>(kept.bytes)});
  }
  writer.Finish();
}

std::unique_ptr<PackedFile> PackedFile::Find(const io::Checkpoint& checkpoint) {
  std::shared_ptr<const io::TensorFile> file = checkpoint.Beside(model::kPackedWeights);
  if (!file) return nullptr;
  const auto says = [&](const char* key) {
    const auto found = file->metadata().find(key);
    return found == file->metadata().end() ? std::string() : found->second;
  };
  if (says(kFormatKey) != kFormatName || says(kLayoutKey) != kLayout) {
    throw InputError(file->path(), ": its weights are packed as layout ", Quoted(says(kLayoutKey)),
                     "; this moefy reads ", Quoted(kLayout),
                     ": run `moefy pack` again on the checkpoint that it was made from");
  }
  const WeightFormat format =
      WithContext(file->path().string(), [&] { return ParseWeightFormat(says(kWeightsKey)); });
  return std::unique_ptr<PackedFile>(new PackedFile(std::move(file), format));
}

PackedBytes PackedFile::Take(const std::string& name, int64_t bytes) {
  const io::TensorInfo* info = file_->Find(name);
  if (!info || info->num_bytes() != static_cast<uint64_t>(bytes)) {
    throw InputError(file_->path(), ": ", Quoted(name), " has ",
                     info ? StrCat(info->num_bytes(), " bytes") : std::string("no bytes"),
                     "; the model beside it needs ", bytes);
  }
  const std::span<const std::byte> mapped = file_->Bytes(*info);
  if (reinterpret_cast<uintptr_t>(mapped.data()) % kPackedAlignment != 0) {
    throw InputError(file_->path(), ": ", Quoted(name), " does not begin at a multiple of ",
                     kPackedAlignment, " bytes; was the file written again by another program?");
  }
  // Nobody writes to memory that is filled.
  return {std::shared_ptr<void>(file_, const_cast<std::byte*>(mapped.data())), true};
}

void PackedFile::RequireFormat(WeightFormat wanted) const {
  if (wanted == format_) return;
  throw UsageError("--weights ", WeightFormatName(wanted), ": ", file_->path().parent_path(),
                   " holds its weights packed in ", WeightFormatName(format_),
                   "; leave --weights out, or use the checkpoint that it was made from");
}

WeightFormat WantedFormat(const std::string& asked, const io::Checkpoint& checkpoint) {
  if (!asked.empty()) return ParseWeightFormat(asked);
  const std::unique_ptr<PackedFile> packed = PackedFile::Find(checkpoint);
  return packed ? packed->format() : WeightFormat::kF32;
}

}  // namespace moefy::runtime
