// The LLaMA and Mistral conventions around a SentencePiece model (tokenizer.model): <s> in front,
// </s> behind on request. Equal to the slow LlamaTokenizer of transformers 4.44, "legacy" true (its
// default) and false, with add_bos_token, add_eos_token and add_prefix_space. Thread-safety: as
// Tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "moefy/text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// Throws Error{kInput} that names the file at fault.
std::unique_ptr<Tokenizer> LoadLlamaTokenizer(const std::filesystem::path& tokenizer_model,
                                              const TokenizerConfig& config);

}  // namespace moefy::text
