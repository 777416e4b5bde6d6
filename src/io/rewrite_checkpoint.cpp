#include "io/rewrite_checkpoint.h"

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "base/output.h"
#include "io/safetensors.h"
#include "io/tensor_file.h"
#include "moefy/base/error.h"

namespace moefy::io {
namespace {

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr size_t kChunkBytes = 16 << 20;  // between two reports of progress

void RewriteFile(const TensorFile& source, const std::filesystem::path& target,
                 const TensorTransform& transform, Progress& progress) {
  const auto header = source.HeaderBytes();
  const uint64_t num_data_bytes = source.tensors().empty() ? 0 : source.tensors().back().end;
  File file = File::Create(target);
  file.Reserve(header.size() + num_data_bytes);
  file.WriteAt(0, header);

  std::vector<std::byte> scratch;
  for (const TensorInfo& info : source.tensors()) {
    const auto bytes = transform(info, source.Bytes(info), scratch);
    MOEFY_CHECK(bytes.size() == info.num_bytes());
    for (size_t done = 0; done < bytes.size();) {
      const auto chunk = bytes.subspan(done, std::min(bytes.size() - done, kChunkBytes));
      file.WriteAt(header.size() + info.begin + done, chunk);
      done += chunk.size();
      progress.Advance(chunk.size());
    }
  }
  file.Sync();
}

// Writes a file of another format as safetensors.
void ConvertFile(const TensorFile& source, const std::filesystem::path& target,
                 const TensorTransform& transform, Progress& progress) {
  SafetensorsWriter file(target, source.tensors());
  std::vector<std::byte> scratch;
  for (const TensorInfo& info : source.tensors()) {
    const auto bytes = transform(info, source.Bytes(info), scratch);
    MOEFY_CHECK(bytes.size() == info.num_bytes());
    file.Write(info.name, bytes);
    progress.Advance(bytes.size());
  }
  file.Finish();
}

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

void RewriteCheckpoint(const Checkpoint& source, const std::filesystem::path& directory,
                       const TensorTransform& transform, Progress& progress) {
  const bool convert = !source.is_safetensors();
  for (const auto& file : source.files()) {
    // Only the directory layout is found again by Open, so a single file takes its name.
    const std::string name = !source.is_sharded() ? kSingleName
                             : convert            ? SafetensorsName(file->path())
                                                  : file->path().filename().string();
    (convert ? ConvertFile : RewriteFile)(*file, directory / name, transform, progress);
  }
  if (source.is_sharded()) {
    WriteAll(
        directory / (convert ? kIndexName : source.index_name()),
        convert ? FormatIndex(source) : ReadTextFile(source.directory() / source.index_name()));
  }
  SyncDirectory(directory);
}

}  // namespace moefy::io
