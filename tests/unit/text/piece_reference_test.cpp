// Tokenizers around a SentencePiece model against recorded values: transformers 4.44's slow
// tokenizers on the same tiny models.
#include <gtest/gtest.h>

#include <iterator>
#include <sstream>

#include "piece_models.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

Ids ToIds(const char* numbers) {
  std::istringstream in(numbers);
  return {std::istream_iterator<int64_t>(in), {}};
}

// What stands around a text, and around a pair of them.
struct Around {
  std::string_view name;
  int64_t vocab_size, pad_id;
  const char* pair;  // ids of "a" and "b"
};
constexpr Around kAround[] = {
    {"xlm_roberta", 23, 1, "0 4 8 2 2 4 9 2"}, {"camembert", 26, 1, "5 7 11 6 6 7 12 6"},
    {"mbart", 48, 1, "4 8 4 9 2 25"},          {"mbart50", 75, 1, "25 4 8 4 9 2"},
    {"nllb", 225, 1, "68 4 8 4 9 2"},          {"nllb_legacy", 225, 1, "4 8 4 9 2 68"},
    {"m2m100", 116, 1, "34 4 8 4 9 2"},        {"pegasus", 124, 0, "106 110 106 111 1"},
    {"albert", 23, 0, "2 5 9 3 5 10 3"},       {"albert_cased", 23, 0, "2 5 9 3 5 10 3"},
    {"deberta", 23, 0, "1 4 8 2 4 9 2"},       {"deberta_by_word", 23, 0, "1 4 8 2 4 9 2"},
    {"gemma", 267, 0, "2 264 2 265"},          {"gemma_eos_only", 267, 0, "264 1 265 1"},
};

TEST(PieceReference, VocabulariesAndPairs) {
  ASSERT_EQ(std::size(kAround), PieceCases().size());
  for (const Around& row : kAround) {
    SCOPED_TRACE(row.name);
    const auto tokenizer = LoadPieceCase(row.name);
    EXPECT_EQ(tokenizer->vocab_size(), row.vocab_size);
    EXPECT_EQ(tokenizer->pad_id(), row.pad_id);
    EXPECT_EQ(tokenizer->EncodePair("a", "b").ids, ToIds(row.pair));
  }
}

constexpr const char* kTexts[] = {"the cats", "The abé <mask> x", "9,9, y", "a</s>b<unk>[MASK] z",
                                  "__fr__ fra_Latn ro_RO"};

struct Encoded {
  std::string_view name;
  const char* ids[std::size(kTexts)];
};
constexpr Encoded kEncoded[] = {
    {"xlm_roberta",
     {"0 5 6 7 2", "0 21 4 12 19 22 4 13 2", "0 17 16 4 14 2", "0 4 8 2 4 9 3 4 3 4 3 2",
      "0 4 3 4 3 8 3 8 11 3 4 3 2"}},
    {"camembert",
     {"5 8 9 10 6", "5 24 7 15 22 25 7 16 6", "5 20 19 7 17 6", "5 7 11 6 7 12 3 7 3 7 3 6",
      "5 7 3 7 3 11 3 11 14 3 7 3 6"}},
    {"mbart",
     {"5 6 7 2 25", "21 4 12 19 47 4 13 2 25", "17 16 4 14 2 25", "4 8 2 4 9 3 4 3 4 3 2 25",
      "4 3 4 3 8 3 8 11 3 41 2 25"}},
    {"mbart50",
     {"25 5 6 7 2", "25 21 4 12 19 74 4 13 2", "25 17 16 4 14 2", "25 4 8 2 4 9 3 4 3 4 3 2",
      "25 4 3 4 3 8 3 8 11 3 41 2"}},
    {"nllb",
     {"68 5 6 7 2", "68 21 4 12 19 224 4 13 2", "68 17 16 4 14 2", "68 4 8 2 4 9 3 4 3 4 3 2",
      "68 4 3 78 4 3 2"}},
    {"nllb_legacy",
     {"5 6 7 2 68", "21 4 12 19 224 4 13 2 68", "17 16 4 14 2 68", "4 8 2 4 9 3 4 3 4 3 2 68",
      "4 3 78 4 3 2 68"}},
    {"m2m100",
     {"34 5 6 7 2", "34 3 4 12 3 4 3 8 7 3 4 13 2", "34 3 3 4 14 2", "34 4 8 2 4 9 3 4 3 4 3 2",
      "34 40 4 3 8 3 8 11 3 4 3 2"}},
    {"pegasus",
     {"107 108 109 1", "123 106 114 121 106 105 110 109 105 106 115 1", "119 118 106 116 1",
      "106 110 1 106 111 105 106 105 106 105 1", "106 105 106 105 110 105 110 113 105 106 105 1"}},
    {"albert",
     {"2 6 7 8 3", "2 6 5 13 21 5 1 9 8 1 5 14 3", "2 5 16 19 16 19 5 15 3",
      "2 5 9 1 8 1 10 1 4 5 1 3", "2 5 1 5 1 9 1 9 12 1 5 1 3"}},
    {"albert_cased",
     {"2 6 7 8 3", "2 22 5 13 20 5 1 9 8 1 5 14 3", "2 5 16 19 16 19 5 15 3",
      "2 5 9 1 8 1 10 1 4 5 1 3", "2 5 1 5 1 9 1 9 12 1 5 1 3"}},
    {"deberta",
     {"1 5 6 7 2", "1 21 4 12 19 4 3 8 7 3 4 13 2", "1 17 16 4 14 2", "1 4 8 3 7 3 9 3 22 4 3 2",
      "1 4 3 4 3 8 3 8 11 3 4 3 2"}},
    {"deberta_by_word",
     {"1 5 6 7 2", "1 5 4 12 19 4 3 4 3 8 7 3 4 3 4 13 2", "1 4 15 4 18 4 15 4 18 4 14 2",
      "1 4 8 4 3 4 3 4 7 4 3 4 9 4 3 4 3 4 3 22 4 3 2",
      "1 4 3 4 3 4 3 4 3 4 3 4 3 8 4 3 4 3 8 11 3 4 3 4 3 4 3 2"}},
    {"gemma",
     {"2 120 108 105 263 266 264 120 119",
      "2 88 108 105 261 199 173 263 64 113 264 119 111 66 263 124", "2 61 48 61 48 263 125",
      "2 264 64 51 119 66 265 3 95 81 69 87 79 97 263 126",
      "2 99 99 106 118 99 99 263 106 118 264 99 80 264 120 114 263 118 115 99 86 83"}},
    {"gemma_eos_only",
     {"120 108 105 263 266 264 120 119 1",
      "88 108 105 261 199 173 263 64 113 264 119 111 66 263 124 1", "61 48 61 48 263 125 1",
      "264 64 51 119 66 265 3 95 81 69 87 79 97 263 126 1",
      "99 99 106 118 99 99 263 106 118 264 99 80 264 120 114 263 118 115 99 86 83 1"}},
};

TEST(PieceReference, Encodes) {
  ASSERT_EQ(std::size(kEncoded), PieceCases().size());
  for (const Encoded& row : kEncoded) {
    SCOPED_TRACE(row.name);
    const auto tokenizer = LoadPieceCase(row.name);
    for (size_t i = 0; i < std::size(kTexts); ++i) {
      EXPECT_EQ(tokenizer->Encode(kTexts[i]).ids, ToIds(row.ids[i])) << kTexts[i];
    }
  }
}

// The second text, from its ids.
struct Decoded {
  std::string_view name;
  const char* text;
  const char* with_special_tokens;
};
constexpr Decoded kDecoded[] = {
    {"xlm_roberta", "The abé x", "<s> The abé<mask> x</s>"},
    {"camembert", "The abé x", "<s> The abé<mask> x</s>"},
    {"mbart", "The abé x", "The abé<mask> x</s>en_XX"},
    {"mbart50", "The abé x", "en_XX The abé<mask> x</s>"},
    {"nllb", "The abé x", "eng_Latn The abé<mask> x</s>"},
    {"nllb_legacy", "The abé x", "The abé<mask> x</s> eng_Latn"},
    {"m2m100", "ab as x", "__en__ <unk>ab<unk><unk>as<unk>x</s>"},
    {"pegasus", "The abé as x", "The abé <unk>as<unk>x</s>"},
    {"albert", "the abe as x", "[CLS] the abe <unk> as<unk> x[SEP]"},
    {"albert_cased", "The abé as x", "[CLS] The abé <unk> as<unk> x[SEP]"},
    {"deberta", "The abé as x", "[CLS] The abé [UNK] as[UNK] x[SEP]"},
    {"deberta_by_word", "the abé  as  x", "[CLS] the abé [UNK] [UNK] as[UNK] [UNK] x[SEP]"},
    {"gemma", "The abé <mask> x", "<bos>The abé <mask> x"},
    {"gemma_eos_only", "The abé <mask> x", "The abé <mask> x<eos>"},
};

TEST(PieceReference, Decodes) {
  ASSERT_EQ(std::size(kDecoded), PieceCases().size());
  for (size_t i = 0; i < std::size(kDecoded); ++i) {
    const Decoded& row = kDecoded[i];
    SCOPED_TRACE(row.name);
    ASSERT_EQ(kEncoded[i].name, row.name);
    const auto tokenizer = LoadPieceCase(row.name);
    const Ids ids = ToIds(kEncoded[i].ids[1]);
    EXPECT_EQ(tokenizer->Decode(ids), row.text);
    EXPECT_EQ(tokenizer->Decode(ids, false), row.with_special_tokens);
  }
}

}  // namespace
}  // namespace moefy::text
