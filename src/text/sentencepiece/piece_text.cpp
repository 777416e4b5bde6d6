#include "text/sentencepiece/piece_text.h"

#include <unicode/uchar.h>

#include <utility>

#include "moefy/base/strings.h"
#include "text/bert/bert_words.h"
#include "text/sentencepiece/sentencepiece.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

// Python's str.isdigit of one character.
bool IsDigit(char32_t c) {
  const int32_t type = u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_NUMERIC_TYPE);
  return type == U_NT_DECIMAL || type == U_NT_DIGIT;
}

std::string StripCombining(std::string_view text) {
  std::string out;
  for (const char32_t c : ToCodePoints(text)) {
    if (u_getCombiningClass(static_cast<UChar32>(c)) == 0) AppendCodePoint(out, c);
  }
  return out;
}

bool EndsWithDigitComma(std::string_view piece) {
  if (!piece.ends_with(',')) return false;
  const std::u32string characters = ToCodePoints(piece);
  return characters.size() > 1 && IsDigit(characters[characters.size() - 2]);
}

}  // namespace

std::string PrepareForAlbert(std::string text, const AlbertOptions& options) {
  if (options.remove_space) text = Join(SplitOnSpace(text), " ");
  text = ReplaceAll(ReplaceAll(std::move(text), "``", "\""), "''", "\"");
  if (!options.keep_accents) text = StripCombining(ToNfkd(text));
  return options.lower_case ? LowerText(text) : text;
}

std::vector<std::string> SplitDigitCommas(std::vector<std::string> pieces,
                                          const EncodePieces& encode) {
  std::vector<std::string> out;
  for (std::string& piece : pieces) {
    if (!EndsWithDigitComma(piece)) {
      out.push_back(std::move(piece));
      continue;
    }
    const std::string number = piece.substr(0, piece.size() - 1);
    std::vector<std::string> parts = encode(ReplaceAll(number, kSpaceSymbol, ""));
    if (!piece.starts_with(kSpaceSymbol) && !parts.empty() && parts[0].starts_with(kSpaceSymbol)) {
      parts[0].erase(0, kSpaceSymbol.size());
      if (parts[0].empty()) parts.erase(parts.begin());
    }
    out.insert(out.end(), parts.begin(), parts.end());
    out.emplace_back(",");
  }
  return out;
}

std::vector<std::string> SplitPunctuation(std::string_view text) {
  std::vector<std::string> out;
  bool open = false;  // the last one may grow
  for (const char32_t c : ToCodePoints(text)) {
    const bool apart = IsPunctuation(c);
    if (apart || !open) out.emplace_back();
    AppendCodePoint(out.back(), c);
    open = !apart;
  }
  return out;
}

}  // namespace moefy::text
