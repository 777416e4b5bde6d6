#include "moefy/model/tensor_io.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "base/own_output.h"
#include "io/finite.h"
#include "io/mapped_file.h"
#include "io/rewrite_checkpoint.h"
#include "io/safetensors.h"
#include "moefy/base/error.h"

namespace moefy::model {

std::optional<at::ScalarType> ComputableType(io::DType dtype) {
  switch (dtype) {
    case io::DType::kF32:
      return at::kFloat;
    case io::DType::kF16:
      return at::kHalf;
    case io::DType::kBF16:
      return at::kBFloat16;
    case io::DType::kF64:
      return at::kDouble;
    default:
      return std::nullopt;
  }
}

void RequireFinite(const io::TensorInfo& info, std::span<const std::byte> bytes) {
  // Threads search for any; CheckFinite then names the first.
  constexpr int64_t kChunk = int64_t{8} << 20;
  const auto size = static_cast<int64_t>(bytes.size());
  std::atomic<bool> found{false};
  at::parallel_for(0, (size + kChunk - 1) / kChunk, 1, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kChunk, last = std::min(size, end * kChunk);
    const auto part = bytes.subspan(static_cast<size_t>(first), static_cast<size_t>(last - first));
    if (io::FindNonFinite(info.dtype, part)) found = true;
  });
  if (found) io::CheckFinite(info, bytes);
}

at::Tensor ReadTensor(const io::Checkpoint& checkpoint, const std::string& name) {
  const io::TensorInfo& info = checkpoint.Get(name);
  const auto type = ComputableType(info.dtype);
  if (!type) {
    throw InputError("tensor ", Quoted(name), " is stored as ", io::DTypeName(info.dtype),
                     "; moefy computes on F32, F16, BF16 and F64");
  }
  // Tensors in the mapped file need not be aligned, hence the copy.
  at::Tensor tensor = at::empty(std::vector<int64_t>(info.shape.begin(), info.shape.end()), *type);
  const auto bytes = checkpoint.Bytes(name);
  if (!bytes.empty()) std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
  io::ReleaseMappedPages(bytes);  // otherwise a model would be in memory twice while it is read
  RequireFinite(info, {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()});
  if (info.dtype != io::DType::kF64) return tensor.to(at::kFloat);
  io::TensorInfo as_f32 = info;
  as_f32.dtype = io::DType::kF32;
  const at::Tensor narrow = tensor.to(at::kFloat);
  WithContext("read as F32", [&] {
    RequireFinite(as_f32, {static_cast<const std::byte*>(narrow.data_ptr()), narrow.nbytes()});
  });
  return narrow;
}

void WriteTensors(const TensorMap& tensors, const std::filesystem::path& path, io::DType dtype) {
  const auto type = ComputableType(dtype);
  MOEFY_CHECK(type.has_value());
  std::vector<io::TensorInfo> infos;
  for (const auto& [name, tensor] : tensors) {
    io::TensorInfo info;
    info.name = name;
    info.dtype = dtype;
    info.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
    infos.push_back(std::move(info));
  }
  io::SafetensorsWriter writer(path, std::move(infos), OwnMetadata());
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor values = tensor.detach().to(at::kCPU, *type).contiguous();
    writer.Write(name, {static_cast<const std::byte*>(values.data_ptr()), values.nbytes()});
  }
  writer.Finish();
}

void RewriteTensors(const io::Checkpoint& checkpoint, const TensorMap& changed,
                    const std::filesystem::path& directory) {
  at::Tensor stored;  // lives until its bytes are written
  io::RewriteCheckpoint(
      checkpoint, directory,
      [&](const io::TensorInfo& info, std::span<const std::byte> bytes,
          std::vector<std::byte>&) -> std::span<const std::byte> {
        const auto found = changed.find(info.name);
        if (found == changed.end()) return bytes;
        const auto type = ComputableType(info.dtype);
        MOEFY_CHECK(type.has_value());  // it was read
        stored = found->second.detach().to(at::kCPU, *type).contiguous();
        return {static_cast<const std::byte*>(stored.data_ptr()), stored.nbytes()};
      });
}

}  // namespace moefy::model
