#include "text/unicode.h"

#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/normalizer2.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "moefy/base/error.h"

namespace moefy::text {
namespace {

// Reads the character at `i` and moves `i` past it; U+FFFD for a malformed sequence.
char32_t NextCodePoint(std::string_view text, int32_t& i) {
  UChar32 c;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"  // inside the macro
  U8_NEXT_OR_FFFD(text.data(), i, static_cast<int32_t>(text.size()), c);
#pragma GCC diagnostic pop
  return static_cast<char32_t>(c);
}

// The offset of the first character from `begin` on that is not white space, or text.size().
size_t SkipSpace(std::string_view text, size_t begin) {
  for (auto i = static_cast<int32_t>(begin); i < static_cast<int32_t>(text.size());) {
    const int32_t at = i;
    if (!IsSpace(NextCodePoint(text, i))) return static_cast<size_t>(at);
  }
  return text.size();
}

std::string Normalize(const icu::Normalizer2* (*get)(UErrorCode&), std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  const icu::Normalizer2* normalizer = get(status);
  if (U_SUCCESS(status)) {
    normalizer->normalizeUTF8(0, {text.data(), static_cast<int32_t>(text.size())}, sink, nullptr,
                              status);
  }
  if (U_FAILURE(status)) throw SystemError(0, "ICU: ", u_errorName(status));
  return out;
}

}  // namespace

std::string RepairUtf8(std::string_view text, ReplaceInvalid replace) {
  if (IsValidUtf8(text)) return std::string(text);
  std::string out;
  for (int32_t i = 0; i < static_cast<int32_t>(text.size());) {
    const int32_t begin = i;
    NextCodePoint(text, i);
    const std::string_view sequence = text.substr(begin, i - begin);
    if (IsValidUtf8(sequence)) {
      out += sequence;
    } else if (replace != ReplaceInvalid::kByNothing) {
      for (int32_t k = replace == ReplaceInvalid::kEveryByte ? begin : i - 1; k < i; ++k) {
        AppendCodePoint(out, 0xfffd);
      }
    }
  }
  return out;
}

std::u32string ToCodePoints(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) out += NextCodePoint(text, i);
  return out;
}

void AppendCodePoint(std::string& out, char32_t code_point) {
  char buffer[U8_MAX_LENGTH];
  int32_t length = 0;
  U8_APPEND_UNSAFE(buffer, length, code_point);
  out.append(buffer, static_cast<size_t>(length));
}

size_t CharacterLength(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  return std::min(length, text.size());
}

bool IsSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

std::string StripLeft(std::string_view text) {
  return std::string(text.substr(SkipSpace(text, 0)));
}

std::string StripRight(std::string_view text) {
  size_t end = 0;  // just after the last character that is no white space
  const auto size = static_cast<int32_t>(text.size());
  for (int32_t i = 0; i < size;) {
    if (!IsSpace(NextCodePoint(text, i))) end = static_cast<size_t>(i);
  }
  return std::string(text.substr(0, end));
}

std::string Strip(std::string_view text) { return StripLeft(StripRight(text)); }

std::vector<std::string> SplitOnSpace(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (char32_t c : ToCodePoints(text)) {
    if (IsSpace(c)) {
      finish();
    } else {
      AppendCodePoint(word, c);
    }
  }
  finish();
  return words;
}

std::string LowerEach(std::string_view text) {
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  for (char32_t c : ToCodePoints(text)) {
    if (c < 0x80) {
      out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
      continue;
    }
    std::string one;
    AppendCodePoint(one, c);
    UErrorCode status = U_ZERO_ERROR;
    icu::CaseMap::utf8ToLower("", 0, one, sink, nullptr, status);
    if (U_FAILURE(status)) throw SystemError(0, "ICU: ", u_errorName(status));
  }
  return out;
}

std::string LowerText(std::string_view text) {
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  UErrorCode status = U_ZERO_ERROR;
  icu::CaseMap::utf8ToLower("", 0, {text.data(), static_cast<int32_t>(text.size())}, sink, nullptr,
                            status);
  if (U_FAILURE(status)) throw SystemError(0, "ICU: ", u_errorName(status));
  return out;
}

std::string ToNfc(std::string_view text) {
  return Normalize(&icu::Normalizer2::getNFCInstance, text);
}

std::string ToNfd(std::string_view text) {
  return Normalize(&icu::Normalizer2::getNFDInstance, text);
}

std::string ToNfkc(std::string_view text) {
  return Normalize(&icu::Normalizer2::getNFKCInstance, text);
}

std::string ToNfkd(std::string_view text) {
  return Normalize(&icu::Normalizer2::getNFKDInstance, text);
}

}  // namespace moefy::text
