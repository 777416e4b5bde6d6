#include "text/words.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "text/unicode.h"

namespace moefy::text {

std::string LowerCase(std::string_view text) { return LowerEach(RepairUtf8(text)); }

std::vector<std::string> SplitWords(std::string_view text) {
  return SplitOnSpace(RepairUtf8(text));
}

std::string DropWords(std::string_view text, const std::vector<std::string>& words) {
  std::string out, word;
  const auto finish = [&] {
    out += std::find(words.begin(), words.end(), word) != words.end() ? " " : word;
    word.clear();
  };
  for (const char32_t c : ToCodePoints(text)) {
    if (c == '_' || u_isalnum(static_cast<UChar32>(c)) != 0) {
      AppendCodePoint(word, c);
    } else {
      finish();
      AppendCodePoint(out, c);
    }
  }
  finish();
  return out;
}

std::vector<std::string> SplitCharacters(std::string_view text) {
  std::vector<std::string> out;
  for (const char32_t c : ToCodePoints(text)) AppendCodePoint(out.emplace_back(), c);
  return out;
}

}  // namespace moefy::text
