#include "io/rewrite_checkpoint.h"

#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/output.h"
#include "io/tensor_file.h"
#include "moefy/base/error.h"

namespace moefy::io {
namespace {

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";

// "pytorch_model-00001-of-00002.bin" -> "model-00001-of-00002.safetensors"
std::string SafetensorsName(const std::filesystem::path& path) {
  const std::string stem = path.stem().string();
  constexpr std::string_view kPrefix = "pytorch_";
  return (stem.starts_with(kPrefix) ? stem.substr(kPrefix.size()) : stem) + ".safetensors";
}

void WriteAll(const std::filesystem::path& path, const std::string& text) {
  File file = File::Create(path);
  file.WriteAt(0, std::as_bytes(std::span(text)));
  file.Sync();
}

// The index of the converted shards has the layout of the reference library.
std::string FormatIndex(const Checkpoint& source) {
  std::map<std::string, std::string> shard_of;
  for (const auto& file : source.files()) {
    for (const TensorInfo& info : file->tensors()) {
      shard_of[info.name] = SafetensorsName(file->path());
    }
  }
  Json map = Json::object();
  for (const auto& [name, shard] : shard_of)
    map.get_ref<Json::object_t&>().emplace_back(name, shard);
  return FormatJson({{"metadata", {{"total_size", source.TotalBytes()}}}, {"weight_map", map}});
}

}  // namespace

CheckpointRewriter::CheckpointRewriter(const Checkpoint& source, std::filesystem::path directory)
    : source_(&source), directory_(std::move(directory)) {
  for (const auto& file : source.files()) {
    // Only the directory layout is found again by Open, so a single file takes its name.
    const std::string name = !source.is_sharded()      ? kSingleName
                             : source.is_safetensors() ? file->path().filename().string()
                                                       : SafetensorsName(file->path());
    files_.push_back(source.is_safetensors()
                         ? std::make_unique<SafetensorsWriter>(directory_ / name, *file)
                         : std::make_unique<SafetensorsWriter>(directory_ / name, file->tensors()));
    for (const TensorInfo& info : file->tensors()) file_of_[info.name] = files_.back().get();
  }
}

void CheckpointRewriter::Write(const std::string& name, std::span<const std::byte> bytes,
                               Progress& progress) {
  const auto found = file_of_.find(name);
  MOEFY_CHECK(found != file_of_.end());
  found->second->Write(name, bytes, &progress);
}

void CheckpointRewriter::Finish() {
  for (const auto& file : files_) file->Finish();
  if (source_->is_sharded()) {
    const bool same = source_->is_safetensors();
    WriteAll(
        directory_ / (same ? source_->index_name() : kIndexName),
        same ? ReadTextFile(source_->directory() / source_->index_name()) : FormatIndex(*source_));
  }
  SyncDirectory(directory_);
}

void RewriteCheckpoint(const Checkpoint& source, const std::filesystem::path& directory,
                       const TensorTransform& transform, Progress& progress) {
  CheckpointRewriter target(source, directory);
  std::vector<std::byte> scratch;
  for (const auto& file : source.files()) {
    for (const TensorInfo& info : file->tensors()) {
      target.Write(info.name, transform(info, file->Bytes(info), scratch), progress);
    }
  }
  target.Finish();
}

}  // namespace moefy::io
