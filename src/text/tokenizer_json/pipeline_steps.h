// The steps of a tokenizer.json before and after its model, each made from its JSON object. There
// are four kinds of steps. Each kind is a file with the table of its components and one function
// that looks them up: normalizers.cpp, pre_tokenizers.cpp, decoders.cpp and post_processors.cpp.
// Equal to tokenizers 0.19, with ICU's regular expressions
// (docs/decisions/0007-icu-regular-expressions.md). A component that moefy does not have is
// Error{kInput} that names it and those it has. Thread-safety: steps may be called from many
// threads. Format: https://github.com/huggingface/tokenizers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
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

// Each function gets the object with "type"; `where` is its path, for messages.
Normalizer ParseNormalizer(const Json& json, const std::string& where);      // normalizers.cpp
PreTokenizer ParsePreTokenizer(const Json& json, const std::string& where);  // pre_tokenizers.cpp
Decoder ParseDecoder(const Json& json, const std::string& where);            // decoders.cpp

// Where the post-processor puts special tokens; post_processors.cpp.
TokenTemplate ParsePostProcessor(const Json& json, const std::string& where);

}  // namespace moefy::text
