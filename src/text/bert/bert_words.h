// A text cut into BERT's words: cleaned, CJK characters set apart, lower-cased, accents removed,
// punctuation set apart. Equal to BasicTokenizer of transformers 4.44. Thread-safety: immutable.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::text {

struct BertWordOptions {
  bool lower_case = true;
  std::optional<bool> strip_accents = std::nullopt;  // as lower_case if not set
  bool split_cjk = true;
  std::set<std::string, std::less<>> never_split =
      {};  // words between spaces that stay as they are
};

// The steps by themselves. `clean` drops control characters and makes all white space spaces;
// `split_cjk` puts spaces around CJK characters.
std::string CleanForBert(std::string_view text, bool clean, bool split_cjk);
std::string StripAccents(std::string_view text);
// Cuts `text` at white space, and sets every punctuation character apart.
std::vector<std::string> SplitAtPunctuation(std::string_view text);
bool IsPunctuation(char32_t c);

std::vector<std::string> SplitBertWords(std::string_view text, const BertWordOptions& options);

}  // namespace moefy::text
