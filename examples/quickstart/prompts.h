// What a model sees of a corpus: its rows through the prompts of the task files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "corpus.h"
#include "task/task_spec.h"

namespace moefy::example {

// <corpus>.json in `directory` for each of Corpora(), in that order. Throws Error.
std::vector<task::TaskSpec> ReadSpecs(const std::filesystem::path& directory);

std::string PromptOf(const task::TaskSpec& spec, const Corpus& corpus,
                     const std::vector<std::string>& row);

// The word that answers with `label`.
const std::string& WordOf(const task::TaskSpec& spec, const std::string& label);

}  // namespace moefy::example
