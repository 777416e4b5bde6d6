// The Unicode questions tokenizers ask, answered as Python does. Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moefy::text {

// Replaces malformed sequences by U+FFFD, one for each maximal subpart or for each byte, or leaves
// them out.
enum class ReplaceInvalid { kEverySubpart, kEveryByte, kByNothing };
std::string RepairUtf8(std::string_view text,
                       ReplaceInvalid replace = ReplaceInvalid::kEverySubpart);

// `text` must be valid UTF-8 from here on.
std::u32string ToCodePoints(std::string_view text);
void AppendCodePoint(std::string& out, char32_t code_point);

// The number of bytes of the first character; 1 for a stray continuation byte. `text` is not empty.
size_t CharacterLength(std::string_view text);

// Python's str.isspace for one character, and its lstrip, rstrip, strip and split.
bool IsSpace(char32_t code_point);
std::string StripLeft(std::string_view text);
std::string StripRight(std::string_view text);
std::string Strip(std::string_view text);
std::vector<std::string> SplitOnSpace(std::string_view text);

// Python's str.lower of every character by itself, so that no rule looks at its neighbours.
std::string LowerEach(std::string_view text);
// Python's str.lower of the whole text: a capital sigma at the end of a word becomes a final one.
std::string LowerText(std::string_view text);

std::string ToNfc(std::string_view text);
std::string ToNfd(std::string_view text);
std::string ToNfkc(std::string_view text);
std::string ToNfkd(std::string_view text);

}  // namespace moefy::text
