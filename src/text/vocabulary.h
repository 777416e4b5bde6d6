// Tokens and their ids, as vocab.txt, vocab.json and tokenizer.json list them. Ids may have gaps.
// Thread-safety: const methods from many threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"

namespace moefy::text {

class Vocabulary {
 public:
  // Throws Error{kInput} if the token or the id is there already.
  void Add(std::string token, int64_t id);

  // Adds a token that may be there already: from now on it has the new id, and the old id still
  // stands for it. Throws Error{kInput} if the id is there already.
  void AddAgain(std::string token, int64_t id);

  std::optional<int64_t> Find(std::string_view token) const;
  const std::string& Get(int64_t id) const;  // throws Error{kInput} if no token has this id
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }  // above every id
  int64_t num_tokens() const { return static_cast<int64_t>(ids_.size()); }
  const std::vector<std::optional<std::string>>& tokens() const { return tokens_; }  // by id

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  std::vector<std::optional<std::string>> tokens_;  // the index is the id
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> ids_;
};

// Reads one token a line; the first has id 0, and an empty line takes up an id that no token has. A
// token that stands on two lines is refused or, as in Python's dict, has the last line's id.
enum class Repeated { kIsRefused, kLastCounts };
Vocabulary ParseVocabularyLines(std::string_view text, Repeated repeated = Repeated::kIsRefused);

// Reads {"token": id, ...}. An id far above the number of tokens is an error: no sound file has
// one, and it would cost memory. `where` begins every message.
Vocabulary ParseVocabularyJson(const Json& json, const std::string& where);

}  // namespace moefy::text
