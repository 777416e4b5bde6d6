// One token a character, with a vocabulary for the source (source_vocab.txt) and another for the
// target (target_vocab.txt): one token a line, as CTranslate2 writes them. The source has no
// special tokens around it unless tokenizer_config.json says add_eos_token; a target ends in </s>.
// Unknown characters have the id that follows the last line. Thread-safety: as Tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "moefy/text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// `target_vocab.txt` lies beside `source_vocab`. Throws Error{kInput} that names the file at fault.
std::unique_ptr<Tokenizer> LoadCharacterTokenizer(const std::filesystem::path& source_vocab,
                                                  const TokenizerConfig& config);

}  // namespace moefy::text
