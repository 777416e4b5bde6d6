// BERT's WordPiece over a vocab.txt: [CLS] A [SEP], or [CLS] A [SEP] B [SEP] with token types 0 and
// 1. Equal to the slow BertTokenizer of transformers 4.44 with do_lower_case, strip_accents,
// tokenize_chinese_chars, never_split and do_basic_tokenize. Thread-safety: as Tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "moefy/text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// Throws Error{kInput} that names the file at fault.
std::unique_ptr<Tokenizer> LoadWordPieceTokenizer(const std::filesystem::path& vocab_txt,
                                                  const TokenizerConfig& config);

}  // namespace moefy::text
