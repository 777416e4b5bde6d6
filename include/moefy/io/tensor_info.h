// What a checkpoint says about a tensor without its bytes. Values, thread-safe.
// Source of names and widths: the safetensors format description.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::io {

enum class DType : uint8_t {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
};

std::string_view DTypeName(DType dtype);                // "F32"
std::optional<DType> FindDType(std::string_view name);  // case-sensitive
int DTypeBits(DType dtype);
std::vector<std::string> DTypeNames();

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<uint64_t> shape;  // [] is a scalar
  uint64_t begin = 0;           // bytes from the start of the file's data section
  uint64_t end = 0;

  uint64_t num_bytes() const { return end - begin; }
};

// Stands for any extent of at least 1 in a shape that HasShape is asked for.
inline constexpr int64_t kAnyExtent = -1;
// Whether the tensor has this shape. No tensor has one with negative extents but kAnyExtent.
bool HasShape(const TensorInfo& info, const std::vector<int64_t>& shape);
// "F32 [3, 4]", or "none" for a tensor that is not there.
std::string DescribeType(const TensorInfo* info);

// The product of the extents (1 for a scalar); nullopt when it overflows 64 bits.
std::optional<uint64_t> NumElements(const std::vector<uint64_t>& shape);
// The bytes of such a tensor; nullopt on overflow, or when the bits do not fill whole bytes.
std::optional<uint64_t> NumBytes(const std::vector<uint64_t>& shape, DType dtype);

}  // namespace moefy::io
