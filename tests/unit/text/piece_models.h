// Small tokenizers of every class of text/piece_conventions.h, for tests: their SentencePiece
// models and files are made here.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moefy/base/strings.h"
#include "moefy/text/tokenizer.h"
#include "support/temp_dir.h"
#include "tiny_models.h"

namespace moefy::text {

inline constexpr const char* kBpeFile = "sentencepiece.bpe.model";

// A class' own first pieces, then those that all models but Gemma's have.
inline SentencePieceModel WithFirst(const std::vector<Piece>& first) {
  SentencePieceModel model;
  model.pieces = first;
  const std::pair<const char*, float> pieces[] = {
      {"▁", -3},  {"▁the", -1}, {"▁cat", -2}, {"s", -2.5f}, {"a", -4}, {"b", -4},
      {"c", -4},  {"t", -4},    {"ab", -5},   {"x", -4},    {"y", -4}, {"9", -4},
      {"9,", -3}, {"▁9,", -3},  {",", -4},    {"é", -4},    {"e", -4}, {"▁The", -1}};
  for (const auto& [text, score] : pieces) model.pieces.push_back({text, score});
  return model;
}

inline SentencePieceModel FairseqPieces() {
  using enum PieceType;
  return WithFirst({{"<unk>", 0, kUnknown}, {"<s>", 0, kControl}, {"</s>", 0, kControl}});
}
inline SentencePieceModel PegasusPieces() {
  using enum PieceType;
  return WithFirst({{"<pad>", 0, kControl}, {"</s>", 0, kControl}, {"<unk>", 0, kUnknown}});
}
inline SentencePieceModel AlbertPieces() {
  using enum PieceType;
  return WithFirst({{"<pad>", 0, kControl},
                    {"<unk>", 0, kUnknown},
                    {"[CLS]", 0, kControl},
                    {"[SEP]", 0, kControl},
                    {"[MASK]", 0, kControl}});
}
inline SentencePieceModel DebertaPieces() {
  using enum PieceType;
  return WithFirst({{"[PAD]", 0, kControl},
                    {"[CLS]", 0, kControl},
                    {"[SEP]", 0, kControl},
                    {"[UNK]", 0, kUnknown}});
}
inline SentencePieceModel GemmaPieces() {
  using enum PieceType;
  SentencePieceModel model = TinyBpeModel();
  model.add_dummy_prefix = false;
  model.pieces.erase(model.pieces.begin(), model.pieces.begin() + 3);
  model.pieces.insert(model.pieces.begin(), {{"<pad>", 0, kControl},
                                             {"<eos>", 0, kControl},
                                             {"<bos>", 0, kControl},
                                             {"<unk>", 0, kUnknown}});
  return model;
}

// The vocab.json of M2M100: only the first of the pieces have ids of their own.
inline constexpr std::string_view kM2mVocabulary =
    R"({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "▁": 4, "▁the": 5, "▁cat": 6, "s": 7,
        "a": 8, "b": 9, "c": 10, "t": 11, "ab": 12, "x": 13, "y": 14, "9": 15})";

// Writes the model and tokenizer_config.json, and for M2M100 its vocabulary, and loads them.
inline std::unique_ptr<Tokenizer> LoadPieces(std::string_view config, const std::string& file,
                                             const SentencePieceModel& model,
                                             const Languages& languages = {}) {
  const tests::TempDir dir;
  dir.Write(file, tests::FormatSentencePieceModel(model));
  dir.Write("tokenizer_config.json", config);
  if (config.find("M2M100") != std::string_view::npos) dir.Write("vocab.json", kM2mVocabulary);
  return LoadTokenizer(dir.path(), {}, languages);
}

struct PieceCase {
  std::string_view name;  // by which the tables of expected values refer to it
  const char* config;
  const char* file;
  SentencePieceModel model;
  Languages languages;
};

inline const std::vector<PieceCase>& PieceCases() {
  static const std::vector<PieceCase> kCases = {
      {"xlm_roberta",
       R"({"tokenizer_class": "XLMRobertaTokenizer"})",
       kBpeFile,
       FairseqPieces(),
       {}},
      {"camembert", R"({"tokenizer_class": "CamembertTokenizer"})", kBpeFile, FairseqPieces(), {}},
      {"mbart",
       R"({"tokenizer_class": "MBartTokenizer"})",
       kBpeFile,
       FairseqPieces(),
       {"en_XX", "ro_RO"}},
      {"mbart50",
       R"({"tokenizer_class": "MBart50Tokenizer"})",
       kBpeFile,
       FairseqPieces(),
       {"en_XX", "fr_XX"}},
      {"nllb",
       R"({"tokenizer_class": "NllbTokenizer"})",
       kBpeFile,
       FairseqPieces(),
       {"eng_Latn", "fra_Latn"}},
      {"nllb_legacy",
       R"({"legacy_behaviour": true, "tokenizer_class": "NllbTokenizer"})",
       kBpeFile,
       FairseqPieces(),
       {"eng_Latn", "fra_Latn"}},
      // Recorded with all languages listed as special tokens, which ours are anyway.
      {"m2m100",
       R"({"tokenizer_class": "M2M100Tokenizer"})",
       kBpeFile,
       FairseqPieces(),
       {"en", "fr"}},
      {"pegasus",
       R"({"tokenizer_class": "PegasusTokenizer"})",
       "spiece.model",
       PegasusPieces(),
       {}},
      {"albert", R"({"tokenizer_class": "AlbertTokenizer"})", "spiece.model", AlbertPieces(), {}},
      {"albert_cased",
       R"({"do_lower_case": false, "keep_accents": true, "tokenizer_class": "AlbertTokenizer"})",
       "spiece.model",
       AlbertPieces(),
       {}},
      {"deberta", R"({"tokenizer_class": "DebertaV2Tokenizer"})", "spm.model", DebertaPieces(), {}},
      {"deberta_by_word",
       R"({"do_lower_case": true, "split_by_punct": true, "tokenizer_class": "DebertaV2Tokenizer"})",
       "spm.model",
       DebertaPieces(),
       {}},
      {"gemma", R"({"tokenizer_class": "GemmaTokenizer"})", "tokenizer.model", GemmaPieces(), {}},
      {"gemma_eos_only",
       R"({"add_bos_token": false, "add_eos_token": true, "tokenizer_class": "GemmaTokenizer"})",
       "tokenizer.model",
       GemmaPieces(),
       {}},
  };
  return kCases;
}

inline std::unique_ptr<Tokenizer> LoadPieceCase(std::string_view name) {
  for (const PieceCase& row : PieceCases()) {
    if (row.name == name) return LoadPieces(row.config, row.file, row.model, row.languages);
  }
  throw std::logic_error(StrCat("no case ", name));
}

}  // namespace moefy::text
