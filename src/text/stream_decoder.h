// Text while it is being generated: ids go in one by one, and what comes out is only what later ids
// cannot change any more. Never half a character, nor a space that may still be tidied away. All
// that comes out, one after the other, is Tokenizer::Decode of all ids without special tokens, in
// linear time; but for what was a character and then, with the bytes that follow it, no longer is
// (some tokenizers decode a run of byte tokens as a whole), which is out already.
// Thread-safety: one thread.
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

  // The text that is certain now and was not before; often "". Throws what Decode throws.
  std::string Push(int64_t id);
  // What was held back. The next Push starts a new text.
  std::string Finish();

 private:
  std::string Advance(std::string_view certain);
  std::string AdvanceAnyway(std::string_view text);
  void DropShown(const std::string& text);

  const Tokenizer& tokenizer_;
  std::vector<int64_t> ids_;  // since the last id whose text is out, and that one for context
  std::string shown_;         // what of their text is out
};

}  // namespace moefy::text
