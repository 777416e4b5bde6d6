// The words of a text, for whoever compares texts. Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moefy::text {

std::string LowerCase(std::string_view text);                // any script, UTF-8
std::vector<std::string> SplitWords(std::string_view text);  // at white space of any kind
// Replaces every whole word of `words` in `text` by a space. A word has no letter, digit or
// underscore beside it. `words` are in lower case, ASCII.
std::string DropWords(std::string_view text, const std::vector<std::string>& words);
std::vector<std::string> SplitCharacters(std::string_view text);  // code points

}  // namespace moefy::text
