// Opus-MT's tokenizers: a SentencePiece model for each side cuts the text, vocab.json has the ids
// (or vocab.json the source's and target_vocab.json the target's), and a token like >>fra<< in
// front tells models of many targets the language. Equal to MarianTokenizer of transformers 4.44.
// Thread-safety: as Tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "moefy/text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// target.spm and vocab.json lie beside source.spm. Throws Error{kInput} that names the file at
// fault, Error{kUsage} for languages.
std::unique_ptr<Tokenizer> LoadMarianTokenizer(const std::filesystem::path& source_spm,
                                               const TokenizerConfig& config);

}  // namespace moefy::text
