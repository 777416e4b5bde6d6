// Brings languages from a task file to a model that translates: the tokenizer is told them, and the
// decoder begins with one. Pure functions but for reading files; thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/model/generation.h"
#include "moefy/text/tokenizer.h"
#include "task/task_spec.h"

namespace moefy::ask {

text::Languages LanguagesOf(const task::TaskSpec& spec);

// What model::ReadGenerationOptions gives, with the target language that the tokenizer was told: it
// is the decoder's first output or, for mBART, its first input. Throws Error{kUsage} if a model
// that generates text needs a language and none was chosen.
model::GenerationOptions ReadGeneration(const std::filesystem::path& directory,
                                        const std::string& config_text,
                                        const model::ModelConfig& config,
                                        const text::Tokenizer& tokenizer,
                                        std::vector<std::string>* warnings = nullptr);

}  // namespace moefy::ask
