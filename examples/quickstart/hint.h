// What a text says besides the answer to its question. Only training uses hints: one answer a
// text is little to learn from, so the model is also asked for these, after the answer.
#pragma once

#include <string>
#include <vector>

namespace moefy::example {

struct Hint {
  std::string about;   // one word: "apple", "plot"
  std::string answer;  // one word: "garden", "negative"
};

// Of a sentence that names a place: does what it says of a thing still hold at the end?
enum class Standing { kSaysNothing, kOverruled, kHolds };

struct Told {
  std::string text;
  std::vector<Hint> hints;
};

}  // namespace moefy::example
