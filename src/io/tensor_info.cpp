#include "moefy/io/tensor_info.h"

#include <algorithm>
#include <array>

#include "moefy/base/strings.h"

namespace moefy::io {
namespace {

struct DTypeRow {
  std::string_view name;
  int bits;
};

// The rows stand in the order of the enum.
constexpr std::array<DTypeRow, 22> kDTypes = {{
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
}};
static_assert(kDTypes.size() == static_cast<size_t>(DType::kU64) + 1);

const DTypeRow& Row(DType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }

}  // namespace

std::string_view DTypeName(DType dtype) { return Row(dtype).name; }

int DTypeBits(DType dtype) { return Row(dtype).bits; }

std::optional<DType> FindDType(std::string_view name) {
  for (size_t i = 0; i < kDTypes.size(); ++i) {
    if (kDTypes[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::vector<std::string> DTypeNames() {
  std::vector<std::string> names;
  for (const DTypeRow& row : kDTypes) names.emplace_back(row.name);
  return names;
}

bool HasShape(const TensorInfo& info, const std::vector<int64_t>& shape) {
  return std::ranges::equal(info.shape, shape, [](uint64_t found, int64_t wanted) {
    if (wanted == kAnyExtent) return found > 0;
    return wanted >= 0 && found == static_cast<uint64_t>(wanted);
  });
}

std::string DescribeType(const TensorInfo* info) {
  return info ? StrCat(DTypeName(info->dtype), " ", FormatShape(info->shape)) : "none";
}

std::optional<uint64_t> NumElements(const std::vector<uint64_t>& shape) {
  uint64_t product = 1;
  bool is_empty = false;
  for (uint64_t extent : shape) {
    if (extent == 0) {
      // The other extents still have to fit, because strides are computed from them.
      is_empty = true;
    } else if (__builtin_mul_overflow(product, extent, &product)) {
      return std::nullopt;
    }
  }
  return is_empty ? 0 : product;
}

std::optional<uint64_t> NumBytes(const std::vector<uint64_t>& shape, DType dtype) {
  const std::optional<uint64_t> num_elements = NumElements(shape);
  uint64_t num_bits = 0;
  if (!num_elements ||
      __builtin_mul_overflow(*num_elements, static_cast<uint64_t>(DTypeBits(dtype)), &num_bits) ||
      num_bits % 8 != 0) {
    return std::nullopt;
  }
  return num_bits / 8;
}

}  // namespace moefy::io
