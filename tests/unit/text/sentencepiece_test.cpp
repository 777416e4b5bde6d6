#include "text/sentencepiece/sentencepiece.h"

#include <gtest/gtest.h>

#include "tiny_models.h"

namespace moefy::text {
namespace {

using Pieces = std::vector<std::string>;

TEST(SentencePiece, TakesTheBestPath) {
  const SentencePiece pieces(TinyModel());
  EXPECT_EQ(pieces.EncodeAsPieces("the cats"), (Pieces{"▁the", "▁cat", "s"}));
  // "▁" "c" "a" "t" would cost more than "▁cat"; "ab" (-5) beats "a" "b" (-8).
  EXPECT_EQ(pieces.EncodeAsPieces("ab"), (Pieces{"▁", "ab"}));
  EXPECT_EQ(pieces.EncodeAsPieces(""), Pieces{});
}

TEST(SentencePiece, SqueezesWhiteSpace) {
  const SentencePiece pieces(TinyModel());
  EXPECT_EQ(pieces.EncodeAsPieces("  the   cat  "), (Pieces{"▁the", "▁cat"}));
  EXPECT_EQ(pieces.EncodeAsPieces("   "), Pieces{});
  SentencePieceModel keeping = TinyModel();
  keeping.remove_extra_whitespaces = false;
  EXPECT_EQ(SentencePiece(keeping).EncodeAsPieces(" the "), (Pieces{"▁", "▁the", "▁"}));
}

TEST(SentencePiece, MergesUnknownCharacters) {
  const SentencePiece pieces(TinyModel());
  EXPECT_EQ(pieces.EncodeAsPieces("zéa日"), (Pieces{"▁", "zé", "a", "日"}));
  EXPECT_EQ(pieces.PieceToId("zé"), pieces.unknown_id());
  EXPECT_EQ(pieces.PieceToId("日"), 2);
  EXPECT_EQ(pieces.PieceToId("▁cat"), 5);
}

TEST(SentencePiece, AppliesTheCharacterMap) {
  SentencePieceModel model = TinyModel();
  model.precompiled_charsmap = TinyCharsmap();
  // "AB" becomes "x y", whose space counts as one.
  EXPECT_EQ(SentencePiece(model).EncodeAsPieces("A ABs"),
            (Pieces{"▁", "a", "▁", "x", "▁", "y", "s"}));
}

TEST(SentencePiece, UserDefinedPiecesAlwaysWin) {
  SentencePieceModel model = TinyModel();
  model.precompiled_charsmap = TinyCharsmap();
  model.pieces.push_back({"AB", 0, PieceType::kUserDefined});
  model.pieces.push_back({"ca", -0.1f, PieceType::kUnused});
  const SentencePiece pieces(model);
  EXPECT_EQ(pieces.EncodeAsPieces("ABs"), (Pieces{"▁", "AB", "s"}));
  EXPECT_EQ(pieces.EncodeAsPieces("xca"), (Pieces{"▁", "x", "c", "a"}));
}

TEST(SentencePiece, Decodes) {
  const SentencePiece pieces(TinyModel());
  EXPECT_EQ(pieces.DecodePieces({"▁the", "▁cat", "s"}), "the cats");
  EXPECT_EQ(pieces.DecodePieces({"▁", "▁the"}), "the");
  EXPECT_EQ(pieces.DecodePieces({"▁the", "</s>", "zé", "<unk>"}), "thezé ⁇ ");
  EXPECT_EQ(pieces.DecodePieces({}), "");
  SentencePieceModel keeping = TinyModel();
  keeping.remove_extra_whitespaces = false;
  EXPECT_EQ(SentencePiece(keeping).DecodePieces({"▁", "▁the"}), " the");
}

TEST(SentencePieceBpe, MergesTheBestPairFirst) {
  const SentencePiece pieces(TinyBpeModel());
  EXPECT_EQ(pieces.EncodeAsPieces("ab"), (Pieces{"▁ab"}));
  // "ab" is the best pair, then "▁ab"; "abc" comes too late.
  EXPECT_EQ(pieces.EncodeAsPieces("abc"), (Pieces{"▁ab", "c"}));
  EXPECT_EQ(pieces.EncodeAsPieces("cabc"), (Pieces{"▁", "c", "abc"}));
  EXPECT_EQ(pieces.EncodeAsPieces("  a"), (Pieces{"▁", "▁", "▁", "a"}));
  EXPECT_EQ(pieces.EncodeAsPieces(""), Pieces{});
}

TEST(SentencePieceBpe, UnknownCharactersBecomeBytes) {
  const SentencePiece pieces(TinyBpeModel());
  EXPECT_EQ(pieces.EncodeAsPieces("aé"), (Pieces{"▁", "a", "<0xC3>", "<0xA9>"}));
  EXPECT_EQ(pieces.PieceToId("<0xC3>"), 3 + 0xC3);
  EXPECT_EQ(pieces.DecodePieces({"▁", "a", "<0xC3>", "<0xA9>", "b"}), "aéb");
  // A byte that begins no character is one U+FFFD, every one of them.
  EXPECT_EQ(pieces.DecodePieces({"<0xC3>", "b", "<0xE6>", "<0x97>"}), "\uFFFDb\uFFFD\uFFFD");
  SentencePieceModel without = TinyBpeModel();
  without.byte_fallback = false;
  std::erase_if(without.pieces, [](const Piece& p) { return p.type == PieceType::kByte; });
  EXPECT_EQ(SentencePiece(without).EncodeAsPieces("aéüb"), (Pieces{"▁", "a", "éü", "b"}));
}

TEST(SentencePieceBpe, UserDefinedPiecesStayApartAndUnusedOnesAreTakenApart) {
  SentencePieceModel model = TinyBpeModel();
  model.pieces.push_back({"ca", 0, PieceType::kUserDefined});
  EXPECT_EQ(SentencePiece(model).EncodeAsPieces("cab"), (Pieces{"▁", "ca", "b"}));
  model.pieces[259].type = PieceType::kUnused;  // "ab"
  const SentencePiece pieces(model);
  EXPECT_EQ(pieces.EncodeAsPieces("bab"), (Pieces{"▁", "b", "a", "b"}));
  EXPECT_EQ(pieces.EncodeAsPieces("babc"), (Pieces{"▁", "b", "abc"}));
}

}  // namespace
}  // namespace moefy::text
