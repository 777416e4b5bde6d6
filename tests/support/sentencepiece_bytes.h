// SentencePiece model files, written field by field as protobuf does. Only tests make such files.
// Format: https://protobuf.dev/programming-guides/encoding and sentencepiece_model.proto.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "text/sentencepiece/sentencepiece_model.h"

namespace moefy::tests {

inline void AppendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}
inline void AppendNumberField(std::string& out, uint32_t field, uint64_t value) {
  AppendVarint(out, uint64_t{field} << 3);
  AppendVarint(out, value);
}
inline void AppendBytesField(std::string& out, uint32_t field, std::string_view bytes) {
  AppendVarint(out, uint64_t{field} << 3 | 2);
  AppendVarint(out, bytes.size());
  out += bytes;
}
inline void AppendFloatField(std::string& out, uint32_t field, float value) {
  AppendVarint(out, uint64_t{field} << 3 | 5);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(bits >> shift & 0xff);
}

// A model as text::ParseSentencePieceModel and the SentencePiece library read it.
inline std::string FormatSentencePieceModel(const text::SentencePieceModel& model) {
  std::string out;
  for (const text::Piece& piece : model.pieces) {
    std::string bytes;
    AppendBytesField(bytes, 1, piece.text);
    AppendFloatField(bytes, 2, piece.score);
    AppendNumberField(bytes, 3, static_cast<uint64_t>(piece.type));
    AppendBytesField(out, 1, bytes);
  }
  std::string trainer;
  AppendNumberField(trainer, 3, static_cast<uint64_t>(model.algorithm));  // model_type
  if (model.byte_fallback) AppendNumberField(trainer, 35, 1);
  AppendBytesField(trainer, 44, model.unknown_surface);
  AppendBytesField(out, 2, trainer);
  std::string normalizer;
  AppendBytesField(normalizer, 2, model.precompiled_charsmap);
  AppendNumberField(normalizer, 3, model.add_dummy_prefix);
  AppendNumberField(normalizer, 4, model.remove_extra_whitespaces);
  AppendNumberField(normalizer, 5, model.escape_whitespaces);
  AppendBytesField(out, 3, normalizer);
  return out;
}

}  // namespace moefy::tests
