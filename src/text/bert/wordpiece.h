// WordPiece: covers a word with the longest pieces of a vocabulary, from the left. Thread-safety:
// immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace moefy::text {

struct WordPieceOptions {
  int64_t unknown_id = 0;                // for a word that cannot be covered
  std::string continuing_prefix = "##";  // of every piece but a word's first
  int64_t max_characters = 100;          // longer words are unknown
};

class WordPiece {
 public:
  WordPiece(std::shared_ptr<const Vocabulary> vocabulary, WordPieceOptions options)
      : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {}

  void AppendIds(std::string_view word, std::vector<int64_t>& ids) const;

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  WordPieceOptions options_;
};

}  // namespace moefy::text
