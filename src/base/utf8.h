// Describes where text that ought to be UTF-8 is not, in words for whoever mends the file. Pure
// functions, thread-safe. IsValidUtf8 (strings.h) only tells whether it is.
// Format: RFC 3629 (no overlong forms, no surrogates, nothing above U+10FFFF).
#pragma once

#include <string>
#include <string_view>

namespace moefy {

// The offset of the first byte that belongs to no well-formed sequence, or text.size().
size_t FindInvalidUtf8(std::string_view text);

// "line 3, byte 12 is 0xe9, not valid UTF-8", and what the text may be instead (UTF-16,
// Windows-1252), or "" for valid text. Lines and the bytes in them count from 1. The second
// function is for one line of something larger, or an argument: "byte 12 is 0xe9, ...".
std::string DescribeInvalidUtf8(std::string_view text);
std::string DescribeInvalidUtf8InLine(std::string_view line);

// Throw Error{kInput} with these words. The caller adds the name of the file or argument.
void RequireUtf8(std::string_view text);
void RequireUtf8InLine(std::string_view line);

}  // namespace moefy
