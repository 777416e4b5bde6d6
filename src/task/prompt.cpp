#include "task/prompt.h"

#include "moefy/base/error.h"

namespace moefy::task {

std::vector<PromptPart> ParsePrompt(std::string_view prompt) {
  std::vector<PromptPart> parts;
  std::string literal;
  const auto finish_literal = [&] {
    if (!literal.empty()) parts.push_back({std::move(literal), false});
    literal.clear();
  };
  for (size_t i = 0; i < prompt.size(); ++i) {
    const char c = prompt[i];
    if (c != '{' && c != '}') {
      literal += c;
    } else if (i + 1 < prompt.size() && prompt[i + 1] == c) {
      literal += c;
      ++i;
    } else if (c == '}') {
      throw UsageError("'}' at byte ", i + 1, " closes nothing; a brace itself is written '}}'");
    } else {
      const size_t end = prompt.find_first_of("{}", i + 1);
      if (end == std::string_view::npos || prompt[end] != '}') {
        throw UsageError("'{' at byte ", i + 1, " is not closed; a brace itself is written '{{'");
      }
      if (end == i + 1) throw UsageError("'{}' at byte ", i + 1, " names no field");
      finish_literal();
      parts.push_back({std::string(prompt.substr(i + 1, end - i - 1)), true});
      i = end;
    }
  }
  finish_literal();
  return parts;
}

}  // namespace moefy::task
