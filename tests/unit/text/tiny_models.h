// Small tokenizers for tests, made here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/sentencepiece_bytes.h"
#include "text/sentencepiece/sentencepiece_model.h"

namespace moefy::text {
// A darts-clone double array that maps "A" to "a" and "AB" to "x y", and its replacements.
inline std::string TinyCharsmap() {
  std::vector<uint32_t> units(512, 0xff);  // unused ones have a label that UTF-8 never has
  const auto offset = [](uint32_t value) { return value << 10; };
  constexpr uint32_t kHasLeaf = 1u << 8;
  units[0] = offset(0x80);
  // Root's child by 'A' lies at 0x80 ^ 'A'; its leaf at that ^ 0x100, its child by 'B' beside.
  const uint32_t a = 0x80 ^ 'A';
  units[a] = 'A' | kHasLeaf | offset(0x100);
  units[a ^ 0x100] = 0x80000000u | 0;
  const uint32_t b = a ^ 0x100 ^ 'B';
  units[b] = 'B' | kHasLeaf | offset(0x20);
  units[b ^ 0x20] = 0x80000000u | 2;
  std::string blob;
  const auto append = [&](uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) blob += static_cast<char>(value >> shift & 0xff);
  };
  append(static_cast<uint32_t>(units.size() * 4));
  for (uint32_t unit : units) append(unit);
  return blob + std::string("a\0x y\0", 6);
}

// <pad> 0, </s> 1, <unk> 2, then a few pieces.
inline SentencePieceModel TinyModel() {
  SentencePieceModel model;
  model.pieces = {{"<pad>", 0, PieceType::kControl}, {"</s>", 0, PieceType::kControl},
                  {"<unk>", 0, PieceType::kUnknown}, {"▁", -3, PieceType::kNormal},
                  {"▁the", -1, PieceType::kNormal},  {"▁cat", -2, PieceType::kNormal},
                  {"s", -2.5f, PieceType::kNormal},  {"a", -4, PieceType::kNormal},
                  {"b", -4, PieceType::kNormal},     {"c", -4, PieceType::kNormal},
                  {"t", -4, PieceType::kNormal},     {"ab", -5, PieceType::kNormal},
                  {"x", -4, PieceType::kNormal},     {"y", -4, PieceType::kNormal}};
  return model;
}

// LLaMA's kind: merges by score, byte pieces from id 3 on, then a few others from 259 on.
inline SentencePieceModel TinyBpeModel() {
  SentencePieceModel model;
  model.algorithm = SentencePieceAlgorithm::kBpe;
  model.byte_fallback = true;
  model.remove_extra_whitespaces = false;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown},
                  {"<s>", 0, PieceType::kControl},
                  {"</s>", 0, PieceType::kControl}};
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    model.pieces.push_back(
        {std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">", 0, PieceType::kByte});
  }
  float score = 0;
  for (const char* piece : {"ab", "▁ab", "abc", "▁", "a", "b", "c"}) {
    model.pieces.push_back({piece, score--, PieceType::kNormal});
  }
  return model;
}

// GPT-2's and RoBERTa's kind: two bytes of "é" and a few letters.
inline constexpr std::string_view kTinyVocabJson =
    R"({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "Ġ": 5, "a": 6, "b": 7, "c": 8,
        "ab": 9, "Ġab": 10, "abc": 11, "Ã": 12, "©": 13, "<|endoftext|>": 14, "1": 15, "aa": 16,
        ".": 17})";
inline constexpr std::string_view kTinyMerges = "#version: 0.2\na b\nĠ ab\nab c\na a\n";

inline constexpr std::string_view kTinyVocabulary =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\nthe\ncat\n##s\n,\n!\ncafe\nn\n'\nt\n";

}  // namespace moefy::text
