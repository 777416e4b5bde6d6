#include "text/regex.h"

#include <unicode/regex.h>
#include <unicode/utf16.h>

#include <limits>

#include "moefy/base/error.h"

namespace moefy::text {
namespace {

constexpr size_t kMaxPatternBytes = 1 << 16;
constexpr int32_t kMaxStackBytes = 32 << 20;
// ICU counts steps in units of ten thousand. Sane patterns take a handful of steps per character.
constexpr int32_t kMinUnits = 200;
constexpr size_t kCharactersPerUnit = 50;

icu::UnicodeString ToUtf16(std::string_view text) {
  return icu::UnicodeString::fromUTF8({text.data(), static_cast<int32_t>(text.size())});
}

// The number of UTF-8 bytes of the UTF-16 units [begin, end).
size_t NumBytes(const icu::UnicodeString& text, int32_t begin, int32_t end) {
  size_t num_bytes = 0;
  for (int32_t i = begin; i < end; ++i) {
    const char16_t unit = text[i];
    num_bytes += unit < 0x80 ? 1 : unit < 0x800 || U16_IS_SURROGATE(unit) ? 2 : 3;
  }
  return num_bytes;
}

}  // namespace

struct Regex::Compiled {
  std::string text;
  std::unique_ptr<icu::RegexPattern> pattern;
};

Regex::Regex(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    throw InputError("a regular expression of ", pattern.size(), " bytes; at most ",
                     kMaxPatternBytes);
  }
  UErrorCode status = U_ZERO_ERROR;
  UParseError where{};
  auto compiled = std::make_unique<Compiled>();
  compiled->text = pattern;
  compiled->pattern.reset(icu::RegexPattern::compile(ToUtf16(pattern), 0, where, status));
  if (U_FAILURE(status)) {
    throw InputError("regular expression ", Quoted(pattern), ", line ", where.line, ", column ",
                     where.offset, ": ", u_errorName(status));
  }
  compiled_ = std::move(compiled);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;

std::vector<Regex::Span> Regex::Split(std::string_view text) const {
  if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw InputError("a text of ", text.size(), " bytes is too long for a regular expression");
  }
  const icu::UnicodeString input = ToUtf16(text);
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::RegexMatcher> matcher(compiled_->pattern->matcher(input, status));
  if (U_SUCCESS(status)) {
    matcher->setStackLimit(kMaxStackBytes, status);
    matcher->setTimeLimit(kMinUnits + static_cast<int32_t>(text.size() / kCharactersPerUnit),
                          status);
  }
  std::vector<Span> spans;
  int32_t done = 0;  // in UTF-16 units
  size_t done_bytes = 0;
  const auto add = [&](int32_t end, bool matched) {
    if (end == done) return;
    const size_t end_bytes = done_bytes + NumBytes(input, done, end);
    spans.push_back({done_bytes, end_bytes, matched});
    done = end;
    done_bytes = end_bytes;
  };
  while (U_SUCCESS(status) && matcher->find(status) && U_SUCCESS(status)) {
    add(matcher->start(status), false);
    add(matcher->end(status), true);
  }
  if (status == U_REGEX_TIME_OUT || status == U_REGEX_STACK_OVERFLOW) {
    throw InputError("regular expression ", Quoted(compiled_->text), " backtracks too much on ",
                     Quoted(Shortened(text.substr(done_bytes), 60)));
  }
  if (U_FAILURE(status)) {
    throw InputError("regular expression ", Quoted(compiled_->text), ": ", u_errorName(status));
  }
  add(input.length(), false);
  return spans;
}

std::vector<std::string> Regex::FindAll(std::string_view text) const {
  std::vector<std::string> found;
  for (const Span& span : Split(text)) {
    if (span.matched) found.emplace_back(text.substr(span.begin, span.end - span.begin));
  }
  return found;
}

}  // namespace moefy::text
