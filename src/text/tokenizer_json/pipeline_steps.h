// The steps of a tokenizer.json before and after its model, each made from its JSON object:
// normalizers, pre-tokenizers, decoders and post-processors. Equal to tokenizers 0.19, with ICU's
// regular expressions (docs/decisions/0007-icu-regular-expressions.md). A component we do not have
// is Error{kInput} that names it and those we have. Thread-safety: steps may be called from many
// threads. Format: https://github.com/huggingface/tokenizers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "moefy/base/json.h"
#include "text/token_template.h"

namespace moefy::text {

using Normalizer = std::function<std::string(std::string)>;

struct Word {
  std::string text;
  bool first = false;  // nothing of the input stood before it
};
// Cuts words into smaller ones and rewrites them.
using PreTokenizer = std::function<std::vector<Word>(std::vector<Word>)>;

// Rewrites tokens so that the text is what they give one after the other.
using Decoder = std::function<std::vector<std::string>(std::vector<std::string>)>;

// Each gets the object with "type"; `where` is its path, for messages.
Normalizer ParseNormalizer(const Json& json, const std::string& where);
PreTokenizer ParsePreTokenizer(const Json& json, const std::string& where);
Decoder ParseDecoder(const Json& json, const std::string& where);

// Where the post-processor puts special tokens.
TokenTemplate ParsePostProcessor(const Json& json, const std::string& where);

}  // namespace moefy::text
