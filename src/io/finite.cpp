#include "io/finite.h"

#include <algorithm>
#include <cstring>

#include "moefy/base/error.h"

namespace moefy::io {
namespace {

// A number is infinite or NaN if every bit of its exponent is set. Adding one to the exponent then
// carries into the sign, which is masked out before. Eight bytes hold several numbers.
struct Exponent {
  size_t width = 0;      // of an element, in bytes; 0: the type has no such values
  uint64_t mask = 0;     // the exponents of what eight bytes hold,
  uint64_t one = 0;      // one in each,
  uint64_t carries = 0;  // and where it goes if they are full
};

Exponent ExponentOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return {8, 0x7ff0000000000000, 0x0010000000000000, 0x8000000000000000};
    case DType::kF32:
    case DType::kC64:
      return {4, 0x7f8000007f800000, 0x0080000000800000, 0x8000000080000000};
    case DType::kF16:
      return {2, 0x7c007c007c007c00, 0x0400040004000400, 0x8000800080008000};
    case DType::kBF16:
      return {2, 0x7f807f807f807f80, 0x0080008000800080, 0x8000800080008000};
    default:
      return {};
  }
}

uint64_t Word(const std::byte* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

// Whether any element is infinite or NaN. Leaves bytes after the last whole word to the caller.
bool AnyInWords(const Exponent& exponent, std::span<const std::byte> bytes) {
  const std::byte* const data = bytes.data();
  const size_t end = bytes.size() / 32 * 32;
  uint64_t carried = 0;
  for (size_t i = 0; i < end; i += 32) {
    // Four words at a time keep the processor's units busy.
    carried |= ((Word(data + i) & exponent.mask) + exponent.one) |
               ((Word(data + i + 8) & exponent.mask) + exponent.one) |
               ((Word(data + i + 16) & exponent.mask) + exponent.one) |
               ((Word(data + i + 24) & exponent.mask) + exponent.one);
  }
  return (carried & exponent.carries) != 0;
}

bool IsNonFinite(const Exponent& exponent, std::span<const std::byte> element) {
  uint64_t word = 0;
  std::memcpy(&word, element.data(), exponent.width);
  return (((word & exponent.mask) + exponent.one) & exponent.carries) != 0;
}

}  // namespace

std::optional<uint64_t> FindNonFinite(DType dtype, std::span<const std::byte> bytes) {
  const Exponent exponent = ExponentOf(dtype);
  if (exponent.width == 0) return std::nullopt;
  constexpr size_t kBlock = 1 << 16;
  for (size_t begin = 0; begin < bytes.size(); begin += kBlock) {
    const auto block = bytes.subspan(begin, std::min(kBlock, bytes.size() - begin));
    const size_t in_words = block.size() / 32 * 32;
    // Looks for the bad element in the block that holds one, or else in what follows the last whole
    // words.
    const size_t first = AnyInWords(exponent, block) ? 0 : in_words;
    for (size_t at = first; at + exponent.width <= block.size(); at += exponent.width) {
      if (IsNonFinite(exponent, block.subspan(at, exponent.width))) {
        return (begin + at) / exponent.width;
      }
    }
  }
  return std::nullopt;
}

std::string NonFiniteName(DType dtype, std::span<const std::byte> element) {
  const Exponent exponent = ExponentOf(dtype);
  MOEFY_CHECK(exponent.width > 0 && element.size() >= exponent.width);
  uint64_t word = 0;
  std::memcpy(&word, element.data(), exponent.width);
  const uint64_t sign = uint64_t{1} << (8 * exponent.width - 1);
  const uint64_t of_one = exponent.width == 8 ? ~uint64_t{0} : (sign << 1) - 1;
  if ((word & ~sign) != (exponent.mask & of_one)) return "nan";
  return word & sign ? "-inf" : "inf";
}

std::vector<uint64_t> IndicesOf(uint64_t element, const std::vector<uint64_t>& shape) {
  std::vector<uint64_t> indices(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    indices[i] = element % shape[i];
    element /= shape[i];
  }
  return indices;
}

void CheckFinite(const TensorInfo& info, std::span<const std::byte> bytes) {
  const std::optional<uint64_t> found = FindNonFinite(info.dtype, bytes);
  if (!found) return;
  const size_t width = ExponentOf(info.dtype).width;
  const uint64_t element = *found * width * 8 / static_cast<uint64_t>(DTypeBits(info.dtype));
  throw InputError("tensor ", Quoted(info.name), " holds ",
                   NonFiniteName(info.dtype, bytes.subspan(*found * width)), " at ",
                   FormatShape(IndicesOf(element, info.shape)),
                   "; moefy computes on finite numbers: the file is damaged, or the training that "
                   "wrote it went wrong");
}

}  // namespace moefy::io
