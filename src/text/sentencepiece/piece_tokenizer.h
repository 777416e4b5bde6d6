// Tokenizers made of a SentencePiece model and special tokens of their own around it: XLM-RoBERTa,
// CamemBERT, mBART, NLLB, M2M100, Pegasus, ALBERT, DeBERTa-v2, Gemma; piece_conventions.h lists
// what they differ in. Equal to the slow tokenizers of transformers 4.44. Thread-safety: as
// Tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "moefy/text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// The class of `config` says which; `model_file` is the SentencePiece model, and M2M100's
// vocab.json lies beside it. Throws Error{kInput} that names the file at fault, Error{kUsage} for
// languages.
std::unique_ptr<Tokenizer> LoadPieceTokenizer(const std::filesystem::path& model_file,
                                              const TokenizerConfig& config);

}  // namespace moefy::text
