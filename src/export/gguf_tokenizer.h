// A checkpoint's tokenizer as GGUF's metadata have it: byte-level BPE with one of the ways to cut
// words that llama.cpp knows. Pure function, but for the files that it reads.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "export/gguf_file.h"
#include "moefy/model/config.h"

namespace moefy::exports {

using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

// Reads tokenizer.json and tokenizer_config.json in `directory`; without the first, the model gets
// no vocabulary ("none") and reads token ids only. Throws Error{kInput} for a tokenizer of another
// kind, with what was found.
GgufMetadata GgufTokenizer(const std::filesystem::path& directory,
                           const model::ModelConfig& config);

}  // namespace moefy::exports
