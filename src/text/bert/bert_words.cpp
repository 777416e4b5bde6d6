#include "text/bert/bert_words.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <utility>

#include "text/unicode.h"

namespace moefy::text {
namespace {

bool IsControl(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  // The mask has the categories Cc, Cf, Cn, Co and Cs.
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_C_MASK) != 0;
}

bool IsSpaceForBert(char32_t c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
         u_charType(static_cast<UChar32>(c)) == U_SPACE_SEPARATOR;
}

bool IsCjk(char32_t c) {
  constexpr std::array<std::pair<char32_t, char32_t>, 8> kRanges = {{{0x3400, 0x4dbf},
                                                                     {0x4e00, 0x9fff},
                                                                     {0xf900, 0xfaff},
                                                                     {0x20000, 0x2a6df},
                                                                     {0x2a700, 0x2b73f},
                                                                     {0x2b740, 0x2b81f},
                                                                     {0x2b820, 0x2ceaf},
                                                                     {0x2f800, 0x2fa1f}}};
  return std::any_of(kRanges.begin(), kRanges.end(),
                     [c](const auto& range) { return c >= range.first && c <= range.second; });
}

}  // namespace

bool IsPunctuation(char32_t c) {
  // Every ASCII character that is neither letter, digit, space nor control counts as punctuation,
  // even "$" and "^".
  if ((c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
      (c >= 123 && c <= 126)) {
    return true;
  }
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_P_MASK) != 0;
}

std::string CleanForBert(std::string_view text, bool clean, bool split_cjk) {
  std::string out;
  for (char32_t c : ToCodePoints(text)) {
    if (clean && (c == 0 || c == 0xfffd || IsControl(c))) continue;
    if (clean && IsSpaceForBert(c)) {
      out += ' ';
    } else if (split_cjk && IsCjk(c)) {
      out += ' ';
      AppendCodePoint(out, c);
      out += ' ';
    } else {
      AppendCodePoint(out, c);
    }
  }
  return out;
}

std::string StripAccents(std::string_view text) {
  std::string out;
  for (char32_t c : ToCodePoints(ToNfd(text))) {
    if (u_charType(static_cast<UChar32>(c)) != U_NON_SPACING_MARK) AppendCodePoint(out, c);
  }
  return out;
}

namespace {

// `word` with spaces around every punctuation character.
std::string SetPunctuationApart(std::string_view word) {
  std::string out;
  for (char32_t c : ToCodePoints(word)) {
    const bool apart = IsPunctuation(c);
    if (apart) out += ' ';
    AppendCodePoint(out, c);
    if (apart) out += ' ';
  }
  return out;
}

}  // namespace

std::vector<std::string> SplitAtPunctuation(std::string_view text) {
  return SplitOnSpace(SetPunctuationApart(text));
}

std::vector<std::string> SplitBertWords(std::string_view text, const BertWordOptions& options) {
  std::string spaced;
  for (std::string& word :
       SplitOnSpace(ToNfc(CleanForBert(text, /*clean=*/true, options.split_cjk)))) {
    if (!options.never_split.contains(word)) {
      if (options.lower_case) word = LowerEach(word);
      if (options.strip_accents.value_or(options.lower_case)) word = StripAccents(word);
    }
    spaced += options.never_split.contains(word) ? word : SetPunctuationApart(word);
    spaced += ' ';
  }
  return SplitOnSpace(spaced);
}

}  // namespace moefy::text
