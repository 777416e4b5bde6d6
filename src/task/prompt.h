// The template language of prompts: text with {field} in it; {{ and }} stand for braces.
// Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moefy::task {

struct PromptPart {
  std::string text;  // literal text, or a field's name
  bool is_field = false;
};

// Throws Error{kUsage} for a brace without its partner and for a field without a name.
std::vector<PromptPart> ParsePrompt(std::string_view prompt);

}  // namespace moefy::task
