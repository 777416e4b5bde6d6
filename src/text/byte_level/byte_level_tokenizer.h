// Byte-level BPE over vocab.json and merges.txt, with the conventions of GPT-2 (also OPT, CodeGen),
// RoBERTa (also BART) or Qwen2. Equal to the slow tokenizers of transformers 4.44, with their
// options add_bos_token and add_prefix_space. Thread-safety: as Tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "moefy/text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// `merges.txt` lies beside `vocab_json`. Throws Error{kInput} that names the file at fault.
std::unique_ptr<Tokenizer> LoadByteLevelTokenizer(const std::filesystem::path& vocab_json,
                                                  const TokenizerConfig& config);

}  // namespace moefy::text
