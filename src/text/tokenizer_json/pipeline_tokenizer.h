// The tokenizer that a tokenizer.json describes: normalizer, pre-tokenizer, model (BPE, WordPiece,
// Unigram), post-processor and decoder. Equal to tokenizers 0.19 (PreTrainedTokenizerFast) for the
// components of pipeline_steps.h and token_model.h; others are refused by name. Truncation and
// padding in the file are left to EncodeOptions. Thread-safety: as Tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "moefy/text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// Throws Error{kInput} that names the file and the field at fault.
std::unique_ptr<Tokenizer> LoadPipelineTokenizer(const std::filesystem::path& tokenizer_json,
                                                 const TokenizerConfig& config);

}  // namespace moefy::text
