// Every kind of tokenizer: one function each, in the .cpp of its name, and a row in the table of
// tokenizer.cpp. Each reads the vocabulary file that its row names, and other files beside it where
// its comment says so. Each throws Error{kInput} that names the file (and, in a tokenizer.json, the
// field) at fault, and Error{kUsage} for languages that the tokenizer does not have.
// "Equal to" names what the tests compare with. Thread-safety: as Tokenizer.
#pragma once

#include <filesystem>
#include <memory>

#include "moefy/text/tokenizer.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

// T5's conventions around a SentencePiece model: </s> at the end; sentinels <extra_id_0>,
// <extra_id_1>, ... counted down from the highest id. Equal to the slow T5Tokenizer of transformers
// 4.44, "legacy" true (its default) and false.
std::unique_ptr<Tokenizer> LoadT5Tokenizer(const std::filesystem::path& spiece_model,
                                           const TokenizerConfig& config);

// LLaMA's and Mistral's conventions around a SentencePiece model: <s> in front, </s> behind on
// request. Equal to the slow LlamaTokenizer of transformers 4.44, "legacy" true (its default) and
// false, with add_bos_token, add_eos_token and add_prefix_space.
std::unique_ptr<Tokenizer> LoadLlamaTokenizer(const std::filesystem::path& tokenizer_model,
                                              const TokenizerConfig& config);

// A SentencePiece model with special tokens of the class's own around it: XLM-RoBERTa, CamemBERT,
// mBART, NLLB, M2M100, Pegasus, ALBERT, DeBERTa-v2, Gemma, Bergamot. The class of `config` says
// which one; piece_conventions.h lists what they differ in. M2M100's vocab.json lies beside the
// model. Equal to the slow tokenizers of transformers 4.44.
std::unique_ptr<Tokenizer> LoadPieceTokenizer(const std::filesystem::path& model_file,
                                              const TokenizerConfig& config);

// Opus-MT: a SentencePiece model for each side cuts the text, vocab.json has the ids (or vocab.json
// the source's and target_vocab.json the target's), and a token like >>fra<< in front tells models
// of many targets the language. target.spm and the vocabularies lie beside source.spm. Equal to
// MarianTokenizer of transformers 4.44.
std::unique_ptr<Tokenizer> LoadMarianTokenizer(const std::filesystem::path& source_spm,
                                               const TokenizerConfig& config);

// BERT's WordPiece: [CLS] A [SEP], or [CLS] A [SEP] B [SEP] with token types 0 and 1. Equal to the
// slow BertTokenizer of transformers 4.44 with do_lower_case, strip_accents,
// tokenize_chinese_chars, never_split and do_basic_tokenize.
std::unique_ptr<Tokenizer> LoadWordPieceTokenizer(const std::filesystem::path& vocab_txt,
                                                  const TokenizerConfig& config);

// Byte-level BPE with the conventions of GPT-2 (also OPT, CodeGen), RoBERTa (also BART) or Qwen2.
// merges.txt lies beside vocab.json. Equal to the slow tokenizers of transformers 4.44, with their
// options add_bos_token and add_prefix_space.
std::unique_ptr<Tokenizer> LoadByteLevelTokenizer(const std::filesystem::path& vocab_json,
                                                  const TokenizerConfig& config);

// What a tokenizer.json describes: normalizer, pre-tokenizer, model (BPE, WordPiece, Unigram),
// post-processor and decoder. Equal to tokenizers 0.19 (PreTrainedTokenizerFast) for the components
// of pipeline_steps.h and token_model.h; others are refused by name. EncodeOptions decide about
// truncation and padding, not the file.
std::unique_ptr<Tokenizer> LoadPipelineTokenizer(const std::filesystem::path& tokenizer_json,
                                                 const TokenizerConfig& config);

// One token a character, with a vocabulary for the source and another for the target
// (target_vocab.txt beside it): one token a line, as CTranslate2 writes them. The source has no
// special tokens around it unless tokenizer_config.json says add_eos_token; a target ends in </s>.
// Unknown characters have the id that follows the last line.
std::unique_ptr<Tokenizer> LoadCharacterTokenizer(const std::filesystem::path& source_vocab,
                                                  const TokenizerConfig& config);

// One token a byte: ByT5, which has no vocabulary file; the path is not read. <pad> </s> <unk>, the
// bytes, then the sentinels <extra_id_0>, ... Equal to ByT5Tokenizer of transformers 4.44. Throws
// also for options that do not fit together.
std::unique_ptr<Tokenizer> LoadByteTokenizer(const std::filesystem::path& directory,
                                             const TokenizerConfig& config);

}  // namespace moefy::text
