#include <algorithm>

#include "moefy/base/error.h"
#include "moefy/base/file.h"
#include "moefy/base/output.h"
#include "moefy/io/checkpoint.h"

namespace moefy::io {
namespace {

constexpr size_t kChunkBytes = 16 << 20;  // between two reports of progress

void RewriteFile(const SafetensorsFile& source, const std::filesystem::path& target,
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

}  // namespace

void RewriteCheckpoint(const Checkpoint& source, const std::filesystem::path& directory,
                       const TensorTransform& transform, Progress& progress) {
  progress.Begin("write weights", source.TotalBytes(), "B");
  for (const SafetensorsFile& file : source.files()) {
    // Only the directory layout is found again by Open, so a single file takes its name.
    const auto name = source.is_sharded() ? file.path().filename() : "model.safetensors";
    RewriteFile(file, directory / name, transform, progress);
  }
  if (source.is_sharded()) {
    const std::string index = ReadTextFile(source.directory() / source.index_name());
    File file = File::Create(directory / source.index_name());
    file.WriteAt(0, std::as_bytes(std::span(index)));
    file.Sync();
  }
  SyncDirectory(directory);
  progress.End("");
}

}  // namespace moefy::io
