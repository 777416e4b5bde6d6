// SentencePiece's precompiled character map: a trie of character sequences (a darts-clone double
// array) and what each sequence is replaced by. Every step is checked against the arrays' ends,
// because a damaged model file must not lead outside. Thread-safety: immutable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::text {

class Charsmap {
 public:
  struct Match {
    std::string_view replacement;
    size_t num_bytes = 0;  // of the text that match; 0 if none do
  };

  // `blob` is ModelProto's precompiled_charsmap; "" is no map. Throws Error{kInput}.
  explicit Charsmap(std::string_view blob);

  // The longest sequence of the map that `text` begins with.
  Match FindPrefix(std::string_view text) const;

 private:
  std::vector<uint32_t> units_;
  std::string replacements_;  // each ends with NUL
};

}  // namespace moefy::text
