// Text while it is being generated: ids go in one by one, and text comes out when later ids cannot
// change it any more, so never half a character, nor a space that may still be tidied away. All
// that comes out is, together, what Tokenizer::Decode makes of all ids without special tokens, in
// linear time. There is one exception: some tokenizers decode a run of byte tokens as a whole, and
// bytes that follow may undo a character that is out already. Thread-safety: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "moefy/text/tokenizer.h"

namespace moefy::text {

class StreamDecoder {
 public:
  // The tokenizer must outlive it.
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // Returns the text that has become certain; often "". Throws what Decode throws.
  std::string Push(int64_t id);
  // Returns what was held back. The next Push starts a new text.
  std::string Finish();

 private:
  std::string Advance(std::string_view certain);
  std::string AdvanceAnyway(std::string_view text);
  void DropShown(const std::string& text);

  const Tokenizer& tokenizer_;
  std::vector<int64_t> ids_;  // from the last id whose text is out, which gives context
  std::string shown_;         // the part of their text that is out
};

}  // namespace moefy::text
