// The model of a tokenizer.json, which turns words into ids by BPE, Unigram, WordPiece or
// WordLevel. Thread-safety: a value whose functions may be called from many threads.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/vocabulary.h"

namespace moefy::text {

struct TokenModel {
  std::shared_ptr<const Vocabulary> vocabulary;
  std::function<void(std::string_view word, std::vector<int64_t>& ids)> append_ids;
};

// Throws Error{kInput} for a model or an option that moefy does not have, and for a bad vocabulary
// or merge.
TokenModel ParseTokenModel(const Json& json, const std::string& where);

}  // namespace moefy::text
