// Text that ought to be UTF-8: where it is not, in words for whoever has to mend the file. Pure
// functions, thread-safe. IsValidUtf8 (strings.h) only asks.
// Format: RFC 3629 (no overlong forms, no surrogates, nothing above U+10FFFF).
#pragma once

#include <string>
#include <string_view>

namespace moefy {

// Offset of the first byte that no well-formed sequence explains, or text.size().
size_t FindInvalidUtf8(std::string_view text);

// "line 3, byte 12 is 0xe9, not valid UTF-8", and what the text may be instead (UTF-16,
// Windows-1252); "" for valid text. Lines and the bytes in them count from 1. Of a text that is one
// line of something larger, or an argument: "byte 12 is 0xe9, ...".
std::string DescribeInvalidUtf8(std::string_view text);
std::string DescribeInvalidUtf8InLine(std::string_view line);

// Throw Error{kInput} with these words; the caller adds the name of the file or argument.
void RequireUtf8(std::string_view text);
void RequireUtf8InLine(std::string_view line);

}  // namespace moefy
