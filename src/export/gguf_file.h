// Writes GGUF files, which llama.cpp reads. Source of the format: ggml's docs/gguf.md, version 3.
// One owner at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/file.h"

namespace moefy::exports {

// How a tensor's values are stored, with ggml's numbers. Blocks are of 32 values of a row.
enum class GgufType : uint32_t { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ8_0 = 8 };

using GgufValue = std::variant<uint32_t, int32_t, float, bool, std::string,
                               std::vector<std::string>, std::vector<int32_t>>;

struct GgufTensor {
  std::string name;
  std::vector<int64_t> shape;  // as LibTorch has it: the extent that lies together is the last
  GgufType type = GgufType::kF32;
};

// The bytes of a tensor's values.
uint64_t GgufBytes(const GgufTensor& tensor);

// Streams a file whose tensors are all declared first; they are written in that order.
class GgufWriter {
 public:
  // Writes the header. Throws Error{kSystem} when `path` cannot be created or the disk is full.
  GgufWriter(const std::filesystem::path& path,
             const std::vector<std::pair<std::string, GgufValue>>& metadata,
             std::vector<GgufTensor> tensors);
  // Writes the next tensor's bytes, of which there are GgufBytes.
  void Write(std::span<const std::byte> bytes);
  // Every tensor must have been written (MOEFY_CHECK).
  void Finish();

 private:
  void Pad();
  File file_;
  uint64_t position_ = 0;
  std::vector<GgufTensor> tensors_;
  size_t next_ = 0;
};

}  // namespace moefy::exports
