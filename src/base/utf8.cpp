#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>

#include "moefy/base/error.h"

namespace moefy {
namespace {

// The length in bytes of the well-formed sequence that `text` begins with; 0 if there is none.
size_t SequenceLength(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0x80       ? 1
                        : lead >> 5 == 6  ? 2
                        : lead >> 4 == 14 ? 3
                        : lead >> 3 == 30 ? 4
                                          : 0;
  if (length == 0 || length > text.size()) return 0;
  uint32_t code = length == 1 ? lead : lead & (0xffu >> (length + 1));
  for (size_t k = 1; k < length; ++k) {
    const auto next = static_cast<unsigned char>(text[k]);
    if (next >> 6 != 2) return 0;
    code = code << 6 | (next & 0x3fu);
  }
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code < kSmallest[length] || code > 0x10ffff || surrogate ? 0 : length;
}

std::string Describe(std::string_view text, bool has_lines) {
  const size_t at = FindInvalidUtf8(text);
  if (at == text.size()) return "";
  const std::string_view before = text.substr(0, at);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t line_begin = has_lines ? before.rfind('\n') + 1 : 0;  // npos + 1 is 0
  char byte[8];
  std::snprintf(byte, sizeof byte, "0x%02x", static_cast<unsigned char>(text[at]));
  const bool utf16 = at == 0 && (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"));
  return StrCat(has_lines ? StrCat("line ", line, ", byte ") : "byte ", at - line_begin + 1, " is ",
                byte, ", not valid UTF-8",
                utf16 ? "; it begins as UTF-16 does: convert it with iconv -f UTF-16 -t UTF-8"
                      : "; if it is Windows-1252 or Latin-1, convert it with iconv -t UTF-8");
}

}  // namespace

size_t FindInvalidUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = SequenceLength(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return text.size();
}

std::string DescribeInvalidUtf8(std::string_view text) { return Describe(text, true); }

std::string DescribeInvalidUtf8InLine(std::string_view line) { return Describe(line, false); }

void RequireUtf8(std::string_view text) {
  if (const std::string problem = DescribeInvalidUtf8(text); !problem.empty()) {
    throw InputError(problem);
  }
}

void RequireUtf8InLine(std::string_view line) {
  if (const std::string problem = DescribeInvalidUtf8InLine(line); !problem.empty()) {
    throw InputError(problem);
  }
}

}  // namespace moefy
