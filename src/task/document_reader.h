// Reads examples out of documents that are no tables: SQuAD, RACE, DREAM, MCTest, plain text. Pure
// functions, thread-safe.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "task/dataset.h"

namespace moefy::task {

// Reads `text`, which is what `file` holds (MCTest's answers lie beside it, in a .ans file). Throws
// Error{kInput} with the place and the field at the first mistake. `limit` > 0 stops after so many
// examples.
std::vector<Example> ReadDocument(const TaskSpec& spec, const std::filesystem::path& file,
                                  std::string_view text, int64_t limit);

// Throws Error{kInput} unless there are 2 to 26 choices: each has a letter.
void CheckChoices(const std::vector<std::string>& choices, const std::string& where);

// What {choices} stands for in a prompt: "(A) first (B) second".
std::string FormatChoices(const std::vector<std::string>& choices);

}  // namespace moefy::task
