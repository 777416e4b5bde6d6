// Tokens that are cut out of a text before anything else looks at it: special tokens and those
// added to a vocabulary later. Splits as PreTrainedTokenizer.tokenize of transformers 4.44 does.
// Thread-safety: const methods from many threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::text {

struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool strip_left = false;   // takes the white space before it along
  bool strip_right = false;  // takes the white space after it along
  bool single_word = false;  // found only if it stands apart from other text
  bool special = true;       // Decode(skip_special_tokens) leaves it out
};

class AddedTokens {
 public:
  struct Part {
    std::string text;
    const AddedToken* token = nullptr;  // null: text between tokens
  };

  // Adds a token in place of one with the same id. Throws Error{kInput} for an absurdly long one.
  void Add(AddedToken token);

  std::vector<Part> Split(std::string_view text) const;  // no empty parts
  const AddedToken* FindId(int64_t id) const;
  const AddedToken* FindContent(std::string_view content) const;

 private:
  const AddedToken* FindPrefix(std::string_view text) const;  // the longest
  size_t Node(std::string_view content);                      // of the trie; made when absent

  std::map<int64_t, AddedToken> by_id_;
  std::map<std::string, int64_t, std::less<>> ids_;  // by content
  // A trie over the contents: what follows each node, by byte. The root is node 0.
  std::vector<std::map<char, size_t>> trie_ = std::vector<std::map<char, size_t>>(1);
  std::vector<int64_t> ends_ = {-1};  // by node: the id of the token that ends there, or -1
};

}  // namespace moefy::text
