// Where special tokens go around one segment or two: "<s> A </s>", "[CLS] A [SEP] B [SEP]". Values,
// thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "moefy/text/tokenizer.h"

namespace moefy::text {

struct TemplateItem {
  enum class Kind { kToken, kFirst, kSecond };
  Kind kind = Kind::kToken;
  int64_t id = 0;             // of a kToken
  int64_t type = 0;           // the token type of all ids that the item stands for
  bool unless_there = false;  // a kToken is left out if the segment before it ends with its id
};

struct TokenTemplate {
  std::vector<TemplateItem> single = {{TemplateItem::Kind::kFirst}};
  std::vector<TemplateItem> pair = {{TemplateItem::Kind::kFirst}, {TemplateItem::Kind::kSecond}};
};

// A template with these tokens before and after each segment, all of type 0.
TokenTemplate AroundEach(const std::vector<int64_t>& before, const std::vector<int64_t>& after);

int64_t NumTokens(const std::vector<TemplateItem>& items);  // the most special tokens it may add

// Puts the segments into the template. `second` may be null if no item stands for it.
Encoding Fill(const std::vector<TemplateItem>& items, const std::vector<int64_t>& first,
              const std::vector<int64_t>* second);

}  // namespace moefy::text
