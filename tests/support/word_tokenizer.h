// A tokenizer for tests: every space-separated word of a list is one id; id 0 pads, 1 ends, 2 is
// for unknown words.
#pragma once

#include <algorithm>

#include "moefy/base/strings.h"
#include "moefy/text/tokenizer.h"

namespace moefy::tests {

class WordTokenizer final : public text::Tokenizer {
 public:
  explicit WordTokenizer(std::vector<std::string> words) : words_(std::move(words)) {}

  text::Encoding Encode(std::string_view text, const text::EncodeOptions& options) const override {
    text::Encoding encoding;
    for (const std::string& word : Split(text, ' ')) {
      const auto found = std::find(words_.begin(), words_.end(), word);
      encoding.ids.push_back(found == words_.end() ? 2 : 3 + (found - words_.begin()));
    }
    if (options.add_special_tokens) encoding.ids.push_back(1);
    encoding.token_type_ids.assign(encoding.ids.size(), 0);
    return encoding;
  }
  text::Encoding EncodePair(std::string_view first, std::string_view second,
                            const text::EncodeOptions& options) const override {
    text::Encoding pair = Encode(first, options);
    for (const int64_t id : Encode(second, options).ids) {
      pair.ids.push_back(id);
      pair.token_type_ids.push_back(1);
    }
    return pair;
  }
  std::string Decode(const std::vector<int64_t>& ids, bool) const override {
    std::vector<std::string> words;
    for (const int64_t id : ids) words.push_back(id < 3 ? "?" : words_.at(id - 3));
    return Join(words, " ");
  }
  int64_t vocab_size() const override { return 3 + static_cast<int64_t>(words_.size()); }
  int64_t pad_id() const override { return 0; }
  std::optional<int64_t> eos_id() const override { return 1; }

 private:
  std::vector<std::string> words_;
};

}  // namespace moefy::tests
