// SentencePiece segmentation: normalisation, then the best path through the pieces' scores (unigram
// models) or merges in the order of the scores (BPE models), and back. Equal to SentencePiece
// 0.1.97's Encode and Decode. Kudo 2018, https://arxiv.org/abs/1804.10959. Thread-safety: const
// methods from many threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/sentencepiece/charsmap.h"
#include "text/sentencepiece/piece_trie.h"
#include "text/sentencepiece/sentencepiece_model.h"

namespace moefy::text {

inline constexpr std::string_view kSpaceSymbol = "\xE2\x96\x81";  // U+2581, "▁"

class SentencePiece {
 public:
  // Throws Error{kInput} if the model's character map is malformed.
  explicit SentencePiece(SentencePieceModel model);
  SentencePiece(const SentencePiece&) = delete;  // the maps look into model_
  SentencePiece& operator=(const SentencePiece&) = delete;

  // The pieces of `text`, which is valid UTF-8. A run of unknown characters is one piece or, with
  // byte fallback, a piece for every byte.
  std::vector<std::string> EncodeAsPieces(std::string_view text) const;
  std::string DecodePieces(const std::vector<std::string>& pieces) const;

  int64_t num_pieces() const { return static_cast<int64_t>(model_.pieces.size()); }
  int64_t unknown_id() const { return unknown_id_; }
  // The id of a piece; the unknown piece's if there is no such piece.
  int64_t PieceToId(std::string_view piece) const;
  bool HasPiece(std::string_view piece) const;
  const std::string& IdToPiece(int64_t id) const { return model_.pieces[id].text; }

 private:
  struct Span {
    size_t begin = 0, end = 0;  // of the normalised text
    bool unknown = false;
  };

  std::vector<Span> SplitUnigram(std::string_view normalized) const;
  std::vector<Span> SplitBpe(std::string_view normalized) const;
  size_t UserDefinedPrefix(std::string_view text) const;  // in bytes; 0 if there is none
  std::string Normalize(std::string_view text) const;
  Charsmap::Match NormalizePrefix(std::string_view text) const;

  SentencePieceModel model_;
  Charsmap charsmap_;
  std::unordered_map<std::string_view, int64_t> ids_;       // all pieces
  std::unordered_map<std::string_view, int64_t> reserved_;  // control, unknown, byte: found first
  PieceTrie trie_;  // what the segmentation may use: normal, user-defined and unused pieces
  int64_t unknown_id_ = 0;
  bool has_user_defined_ = false;
  size_t max_piece_bytes_ = 0;
  float unknown_score_ = 0;
  float max_score_ = 0;
};

}  // namespace moefy::text
