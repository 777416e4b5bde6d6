#include "text/sentencepiece/sentencepiece_model.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "moefy/base/strings.h"
#include "support/expect_error.h"
#include "text/sentencepiece/sentencepiece.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

TEST(SentencePieceModel, RoundTrip) {
  SentencePieceModel model = TinyModel();
  model.precompiled_charsmap = TinyCharsmap();
  model.add_dummy_prefix = false;
  model.unknown_surface = "?";
  const std::string bytes = tests::FormatSentencePieceModel(model);
  const SentencePieceModel read = ParseSentencePieceModel(bytes);
  ASSERT_EQ(read.pieces.size(), model.pieces.size());
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    EXPECT_EQ(read.pieces[i].text, model.pieces[i].text);
    EXPECT_EQ(read.pieces[i].score, model.pieces[i].score);
    EXPECT_EQ(read.pieces[i].type, model.pieces[i].type);
  }
  EXPECT_EQ(read.precompiled_charsmap, model.precompiled_charsmap);
  EXPECT_FALSE(read.add_dummy_prefix);
  EXPECT_TRUE(read.remove_extra_whitespaces);
  EXPECT_EQ(read.unknown_surface, "?");
  EXPECT_EQ(tests::FormatSentencePieceModel(read), bytes);
}

TEST(SentencePieceModel, RoundTripOfABpeModel) {
  const SentencePieceModel read =
      ParseSentencePieceModel(tests::FormatSentencePieceModel(TinyBpeModel()));
  EXPECT_EQ(read.algorithm, SentencePieceAlgorithm::kBpe);
  EXPECT_TRUE(read.byte_fallback);
  EXPECT_EQ(read.pieces[3 + 0xAB].text, "<0xAB>");
  EXPECT_EQ(read.pieces[3 + 0xAB].type, PieceType::kByte);
}

struct BadModel {
  const char* name;
  std::function<std::string()> bytes;
  const char* fragment;
};

// A model with one thing changed.
std::string With(const std::function<void(SentencePieceModel&)>& change) {
  SentencePieceModel model = TinyModel();
  change(model);
  return tests::FormatSentencePieceModel(model);
}

std::string WithBytes(const std::function<void(SentencePieceModel&)>& change) {
  SentencePieceModel model = TinyBpeModel();
  change(model);
  return tests::FormatSentencePieceModel(model);
}

// A model with a trainer_spec field put after the rest: fields of the same message merge.
std::string WithTrainerField(uint32_t field, uint64_t value) {
  std::string trainer;
  tests::AppendNumberField(trainer, field, value);
  std::string bytes = tests::FormatSentencePieceModel(TinyModel());
  tests::AppendBytesField(bytes, 2, trainer);
  return bytes;
}

const BadModel kBadModels[] = {
    {"empty", [] { return std::string(); }, "empty"},
    {"garbage", [] { return std::string("\xff\xfe garbage that is no model"); }, "not a Sentence"},
    {"text", [] { return std::string("{\"model\": 1}"); }, "not a SentencePiece model"},
    {"zeros", [] { return std::string(100, '\0'); }, "field number"},
    {"endless_number", [] { return std::string(20, '\xff'); }, "longer than 10 bytes"},
    {"group_wire_type", [] { return std::string("\x0b"); }, "wire type 3"},
    {"pieces_not_bytes", [] { return std::string("\x08\x01"); }, "wire type 0; expected 2"},
    {"no_pieces", [] { return With([](auto& model) { model.pieces.clear(); }); },
     "unknown among 0"},
    {"no_unknown", [] { return With([](auto& m) { m.pieces.erase(m.pieces.begin() + 2); }); },
     "0 pieces of type unknown"},
    {"two_unknown", [] { return With([](auto& m) { m.pieces[1].type = PieceType::kUnknown; }); },
     "2 pieces of type unknown"},
    {"empty_piece", [] { return With([](auto& m) { m.pieces[5].text = ""; }); },
     "piece 5 is empty"},
    {"piece_twice", [] { return With([](auto& m) { m.pieces[6].text = "a"; }); },
     "piece 7, 'a', is defined twice"},
    {"piece_not_utf8", [] { return With([](auto& m) { m.pieces[6].text = "\xc3"; }); },
     "piece 6 is not valid UTF-8"},
    {"nan_score",
     [] {
       return With([](auto& m) { m.pieces[6].score = std::numeric_limits<float>::quiet_NaN(); });
     },
     "piece 6 has a score"},
    {"bytes", [] { return With([](auto& m) { m.pieces[6].type = PieceType::kByte; }); },
     "piece 6 is a byte without byte fallback"},
    {"piece_type", [] { return With([](auto& m) { m.pieces[6].type = PieceType{9}; }); },
     "piece type 9"},
    {"word_model", [] { return WithTrainerField(3, 3); }, "model type 3 is not supported"},
    {"byte_fallback", [] { return WithTrainerField(35, 1); }, "0 byte pieces; expected 256"},
    {"byte_name", [] { return WithBytes([](auto& m) { m.pieces[5].text = "<0x2>"; }); },
     "byte piece 5 is '<0x2>'"},
    {"byte_missing",
     [] { return WithBytes([](auto& m) { m.pieces.erase(m.pieces.begin() + 9); }); },
     "255 byte pieces"},
    {"long_piece", [] { return With([](auto& m) { m.pieces[6].text = std::string(5000, 'a'); }); },
     "piece 6 has 5000 bytes"},
    {"suffix", [] { return WithTrainerField(24, 1); }, "suffix"},
};

TEST(SentencePieceModel, RefusesBadModels) {
  EXPECT_NO_THROW(ParseSentencePieceModel(With([](auto&) {})));
  EXPECT_NO_THROW(ParseSentencePieceModel(WithTrainerField(3, 1)));
  EXPECT_NO_THROW(ParseSentencePieceModel(WithTrainerField(3, 2)));
  EXPECT_NO_THROW(ParseSentencePieceModel(WithBytes([](auto&) {})));
  for (const BadModel& bad : kBadModels) {
    SCOPED_TRACE(bad.name);
    tests::ExpectError(ErrorKind::kInput, {bad.fragment},
                       [&] { ParseSentencePieceModel(bad.bytes()); });
  }
}

TEST(SentencePieceModel, EveryTruncationIsAnError) {
  const std::string bytes = tests::FormatSentencePieceModel(TinyModel());
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(ParseSentencePieceModel(bytes.substr(0, length)), Error) << length;
  }
}

// A flipped bit is an Error or another model; never a crash, in reading or in use.
TEST(SentencePieceModel, SurvivesEveryFlippedBit) {
  SentencePieceModel model = TinyModel();
  model.precompiled_charsmap = TinyCharsmap();
  const std::string good = tests::FormatSentencePieceModel(model);
  int num_read = 0, num_refused = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    try {
      const SentencePiece pieces(ParseSentencePieceModel(bytes));
      pieces.DecodePieces(pieces.EncodeAsPieces("the cats AB A b Ă—"));
      ++num_read;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput) << error.what();
      ++num_refused;
    }
  }
  EXPECT_GT(num_read, 0);
  EXPECT_GT(num_refused, 0);
}

}  // namespace
}  // namespace moefy::text
