// What ALBERT and DeBERTa do to a text before, and to its pieces after, the SentencePiece model.
// Pure functions, thread-safe. Source: tokenization_albert.py, tokenization_deberta_v2.py of
// transformers 4.44.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::text {

using EncodePieces = std::function<std::vector<std::string>(std::string_view text)>;

struct AlbertOptions {
  bool lower_case = true;
  bool remove_space = true;
  bool keep_accents = false;
};

std::string PrepareForAlbert(std::string text, const AlbertOptions& options);
// Sets a comma after a digit apart: "9,9" is "▁9" "," "9", whatever the model joins.
std::vector<std::string> SplitDigitCommas(std::vector<std::string> pieces,
                                          const EncodePieces& encode);

// Cuts `text` into runs of anything but punctuation, and single punctuation characters.
std::vector<std::string> SplitPunctuation(std::string_view text);

}  // namespace moefy::text
