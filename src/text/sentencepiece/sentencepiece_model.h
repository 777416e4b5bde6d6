// The content of a SentencePiece model file (spiece.model, a serialized ModelProto), read without
// protobuf: the SentencePiece library of Debian 12 brings a protobuf of its own that crashes any
// process which also loads LibTorch's. Values, thread-safe.
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

enum class SentencePieceAlgorithm { kUnigram = 1, kBpe = 2 };

struct SentencePieceModel {
  SentencePieceAlgorithm algorithm = SentencePieceAlgorithm::kUnigram;
  std::vector<Piece> pieces;         // the index is the token id
  std::string precompiled_charsmap;  // "" leaves the text as it is
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool byte_fallback = false;  // unknown characters become byte pieces, <0x00> to <0xFF>
  std::string unknown_surface = " \xE2\x81\x87 ";  // how the unknown piece is written, " ⁇ "
};

// Throws Error{kInput} if the bytes are not a ModelProto or are cut short, if a piece is empty,
// absurdly long, defined twice or has a score that is not finite, if there is not exactly one
// unknown piece, if byte pieces are missing or out of place, and for what is not supported (word
// and character models, white space as suffix, a denormalizer).
SentencePieceModel ParseSentencePieceModel(std::string_view bytes);

// Throws what ParseSentencePieceModel throws about the pieces, each by itself and all together.
void CheckSentencePieceModel(const SentencePieceModel& model);

}  // namespace moefy::text
