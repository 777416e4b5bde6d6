// The Unicode questions tokenizers ask, answered as Python does. Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moefy::text {

// Each malformed sequence replaced by U+FFFD, one per maximal subpart.
std::string RepairUtf8(std::string_view text);

// `text` must be valid UTF-8 from here on.
std::u32string ToCodePoints(std::string_view text);
void AppendCodePoint(std::string& out, char32_t code_point);

// str.isspace for one character, and lstrip, rstrip, strip, split by it.
bool IsSpace(char32_t code_point);
std::string StripLeft(std::string_view text);
std::string StripRight(std::string_view text);
std::string Strip(std::string_view text);
std::vector<std::string> SplitOnSpace(std::string_view text);

// str.lower of every character by itself (so that no rule looks at its neighbours).
std::string LowerEach(std::string_view text);

std::string ToNfc(std::string_view text);
std::string ToNfd(std::string_view text);

}  // namespace moefy::text
