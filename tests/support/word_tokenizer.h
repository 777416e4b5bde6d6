// A tokenizer for tests: every word of a list, between spaces, is one id; id 0 pads, 1 ends (or
// begins, as causal models have it), 2 is for unknown words.
#pragma once

#include <algorithm>

#include "moefy/base/strings.h"
#include "moefy/text/tokenizer.h"
#include "text/words.h"

namespace moefy::tests {

enum class SpecialPlace { kEnd, kBegin };

class WordTokenizer final : public text::Tokenizer {
 public:
  explicit WordTokenizer(std::vector<std::string> words, SpecialPlace place = SpecialPlace::kEnd,
                         bool lower_case = false)
      : words_(std::move(words)), begins_(place == SpecialPlace::kBegin), lower_case_(lower_case) {}

  text::Encoding Encode(std::string_view text, const text::EncodeOptions& options) const override {
    text::Encoding encoding;
    if (options.add_special_tokens && begins_) encoding.ids.push_back(1);
    for (const std::string& word :
         Split(lower_case_ ? text::LowerCase(text) : std::string(text), ' ')) {
      if (word.empty()) continue;
      const auto found = std::find(words_.begin(), words_.end(), word);
      encoding.ids.push_back(found == words_.end() ? 2 : 3 + (found - words_.begin()));
    }
    if (options.add_special_tokens && !begins_) encoding.ids.push_back(1);
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
  std::string Decode(const std::vector<int64_t>& ids, bool skip_special_tokens) const override {
    std::vector<std::string> words;
    for (const int64_t id : ids) {
      if (id >= 3) words.push_back(words_.at(id - 3));
      if (id < 3 && !skip_special_tokens) words.push_back("?");
    }
    return Join(words, " ");
  }
  int64_t vocab_size() const override { return 3 + static_cast<int64_t>(words_.size()); }
  int64_t pad_id() const override { return 0; }
  std::optional<int64_t> eos_id() const override { return 1; }

 private:
  std::vector<std::string> words_;
  bool begins_, lower_case_;
};

}  // namespace moefy::tests
