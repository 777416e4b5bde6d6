#include "text/byte_level/byte_level.h"

#include <array>

#include "text/unicode.h"

namespace moefy::text {
namespace {

struct ByteTable {
  std::array<char32_t, 256> characters{};
  std::array<int, 512> bytes{};  // by character; -1: none

  ByteTable() {
    bytes.fill(-1);
    char32_t next = 256;  // bytes that cannot be printed follow each other from here
    for (size_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
      characters[byte] = printable ? static_cast<char32_t>(byte) : next++;
      bytes[characters[byte]] = static_cast<int>(byte);
    }
  }
};

const ByteTable& Table() {
  static const ByteTable kTable;
  return kTable;
}

}  // namespace

std::string ToByteCharacters(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    AppendCodePoint(out, Table().characters[static_cast<unsigned char>(byte)]);
  }
  return out;
}

std::string FromByteCharacters(std::string_view token) {
  std::string out;
  for (const char32_t c : ToCodePoints(token)) {
    const int byte = c < Table().bytes.size() ? Table().bytes[c] : -1;
    if (byte < 0) return std::string(token);
    out += static_cast<char>(byte);
  }
  return out;
}

}  // namespace moefy::text
