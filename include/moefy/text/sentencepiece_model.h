// The content of a SentencePiece model file (spiece.model, a serialized ModelProto), read and
// written without protobuf: the SentencePiece library of Debian 12 brings a protobuf of its own
// that crashes any process which also loads LibTorch's. Values, thread-safe.
// Format: https://github.com/google/sentencepiece, src/sentencepiece_model.proto.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::text {

enum class PieceType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct Piece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

struct SentencePieceModel {
  std::vector<Piece> pieces;         // the index is the token id
  std::string precompiled_charsmap;  // "": text is taken as it is
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  std::string unknown_surface = " \xE2\x81\x87 ";  // how the unknown piece is written, " ⁇ "
};

// Throws Error{kInput}: not a ModelProto, cut short, a piece empty or defined twice, not exactly
// one unknown piece, a score that is not finite, or something not supported yet (BPE, byte
// fallback, white space as suffix, a denormalizer).
SentencePieceModel ParseSentencePieceModel(std::string_view bytes);

// A unigram model as ParseSentencePieceModel and the SentencePiece library read it.
std::string FormatSentencePieceModel(const SentencePieceModel& model);

}  // namespace moefy::text
