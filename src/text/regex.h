// Regular expressions of tokenizers, on UTF-8 text, with limits: a pattern that backtracks without
// end is an Error. The syntax is ICU's
// (https://unicode-org.github.io/icu/userguide/strings/regexp.html);
// docs/decisions/0007-icu-regular-expressions.md says why. Thread-safety: immutable.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::text {

class Regex {
 public:
  struct Span {
    size_t begin = 0, end = 0;  // bytes
    bool matched = false;
  };

  // Throws Error{kInput} if `pattern` is not one.
  explicit Regex(std::string_view pattern);
  ~Regex();
  Regex(Regex&&) noexcept;

  // Cuts all of `text` (valid UTF-8), from left to right, into what matches and what lies between.
  // No span is empty. Throws Error{kInput} if the pattern needs too many steps or too much memory.
  std::vector<Span> Split(std::string_view text) const;

  // The parts of `text` that match.
  std::vector<std::string> FindAll(std::string_view text) const;

 private:
  struct Compiled;
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace moefy::text
