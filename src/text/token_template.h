// Where special tokens go around one segment or two: "<s> A </s>", "[CLS] A [SEP] B [SEP]". A
// value.
#pragma once

#include <cstdint>
#include <vector>

#include "moefy/text/tokenizer.h"

namespace moefy::text {

struct TemplateItem {
  enum class Kind { kToken, kFirst, kSecond };
  Kind kind = Kind::kToken;
  int64_t id = 0;             // of kToken
  int64_t type = 0;           // the token type of all it stands for
  bool unless_there = false;  // of kToken: not if the segment before it ends with the same id
};

struct TokenTemplate {
  std::vector<TemplateItem> single = {{TemplateItem::Kind::kFirst}};
  std::vector<TemplateItem> pair = {{TemplateItem::Kind::kFirst}, {TemplateItem::Kind::kSecond}};
};

// A template of tokens before and after each segment, of type 0.
TokenTemplate AroundEach(const std::vector<int64_t>& before, const std::vector<int64_t>& after);

int64_t NumTokens(const std::vector<TemplateItem>& items);  // special tokens, at most

// `second` may be null when the items do not mention it.
Encoding Fill(const std::vector<TemplateItem>& items, const std::vector<int64_t>& first,
              const std::vector<int64_t>* second);

}  // namespace moefy::text
