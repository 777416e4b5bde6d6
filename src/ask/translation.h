// Languages from a task file to a model that translates: the tokenizer's choice, and what the
// decoder begins with. Pure functions but for reading files; thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "moefy/model/generation.h"
#include "moefy/text/tokenizer.h"
#include "task/task_spec.h"

namespace moefy::ask {

text::Languages LanguagesOf(const task::TaskSpec& spec);

// model::ReadGenerationOptions, and the target language that the tokenizer was told: the decoder's
// first output or, for mBART, its first input. Throws Error{kUsage} when a model that generates
// text needs one and none was chosen.
model::GenerationOptions ReadGeneration(const std::filesystem::path& directory,
                                        const model::ModelConfig& config,
                                        const text::Tokenizer& tokenizer,
                                        std::vector<std::string>* warnings = nullptr);

}  // namespace moefy::ask
