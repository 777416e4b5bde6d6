#include "text/bert/wordpiece.h"

#include "text/unicode.h"

namespace moefy::text {

void WordPiece::AppendIds(std::string_view word, std::vector<int64_t>& ids) const {
  std::vector<size_t> bounds;  // where characters begin, and where the word ends
  for (size_t i = 0; i < word.size(); i += CharacterLength(word.substr(i))) bounds.push_back(i);
  bounds.push_back(word.size());
  const size_t num_characters = bounds.size() - 1;
  std::vector<int64_t> pieces;
  const bool too_long = static_cast<int64_t>(num_characters) > options_.max_characters;
  for (size_t begin = 0; !too_long && begin < num_characters;) {
    size_t end = num_characters;
    std::optional<int64_t> id;
    for (; end > begin; --end) {
      const std::string piece(word.substr(bounds[begin], bounds[end] - bounds[begin]));
      if ((id = vocabulary_->Find(begin == 0 ? piece : options_.continuing_prefix + piece))) break;
    }
    if (!id) {
      pieces.clear();
      break;
    }
    pieces.push_back(*id);
    begin = end;
  }
  if (pieces.empty()) pieces.push_back(options_.unknown_id);
  ids.insert(ids.end(), pieces.begin(), pieces.end());
}

}  // namespace moefy::text
