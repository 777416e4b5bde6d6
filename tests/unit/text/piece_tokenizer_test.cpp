// Expected ids and texts: transformers 4.44's slow tokenizers on the same tiny models.
#include "text/piece_tokenizer.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

// The pieces of all but Gemma's model, after the first ones that each class has of its own.
SentencePieceModel WithFirst(const std::vector<Piece>& first) {
  SentencePieceModel model;
  model.pieces = first;
  const std::pair<const char*, float> pieces[] = {
      {"▁", -3},  {"▁the", -1}, {"▁cat", -2}, {"s", -2.5f}, {"a", -4}, {"b", -4},
      {"c", -4},  {"t", -4},    {"ab", -5},   {"x", -4},    {"y", -4}, {"9", -4},
      {"9,", -3}, {"▁9,", -3},  {",", -4},    {"é", -4},    {"e", -4}, {"▁The", -1}};
  for (const auto& [text, score] : pieces) model.pieces.push_back({text, score});
  return model;
}

constexpr PieceType kControl = PieceType::kControl, kUnknown = PieceType::kUnknown;

SentencePieceModel Fairseq() {
  return WithFirst({{"<unk>", 0, kUnknown}, {"<s>", 0, kControl}, {"</s>", 0, kControl}});
}
SentencePieceModel T5Pieces() {
  return WithFirst({{"<pad>", 0, kControl}, {"</s>", 0, kControl}, {"<unk>", 0, kUnknown}});
}
SentencePieceModel AlbertPieces() {
  return WithFirst({{"<pad>", 0, kControl},
                    {"<unk>", 0, kUnknown},
                    {"[CLS]", 0, kControl},
                    {"[SEP]", 0, kControl},
                    {"[MASK]", 0, kControl}});
}
SentencePieceModel DebertaPieces() {
  return WithFirst({{"[PAD]", 0, kControl},
                    {"[CLS]", 0, kControl},
                    {"[SEP]", 0, kControl},
                    {"[UNK]", 0, kUnknown}});
}
SentencePieceModel GemmaPieces() {
  SentencePieceModel model = TinyBpeModel();
  model.add_dummy_prefix = false;
  model.pieces.erase(model.pieces.begin(), model.pieces.begin() + 3);
  model.pieces.insert(model.pieces.begin(), {{"<pad>", 0, kControl},
                                             {"<eos>", 0, kControl},
                                             {"<bos>", 0, kControl},
                                             {"<unk>", 0, kUnknown}});
  return model;
}

// M2M100's: only the first of the pieces have ids of their own.
constexpr std::string_view kM2mVocabulary =
    R"({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "▁": 4, "▁the": 5, "▁cat": 6, "s": 7,
        "a": 8, "b": 9, "c": 10, "t": 11, "ab": 12, "x": 13, "y": 14, "9": 15})";

std::unique_ptr<Tokenizer> Load(std::string_view config, const std::string& file,
                                const SentencePieceModel& model, const Languages& languages = {}) {
  const tests::TempDir dir;
  dir.Write(file, FormatSentencePieceModel(model));
  dir.Write("tokenizer_config.json", config);
  if (config.find("M2M100") != std::string_view::npos) dir.Write("vocab.json", kM2mVocabulary);
  return LoadTokenizer(dir.path(), {}, languages);
}

constexpr const char* kTexts[] = {"the cats", "The abé <mask> x", "9,9, y", "a</s>b<unk>[MASK] z",
                                  "__fr__ fra_Latn ro_RO"};

struct Recorded {
  const char* config;
  const char* file;
  SentencePieceModel model;
  Languages languages;
  int64_t vocab_size, pad_id;
  std::vector<Ids> ids;  // of kTexts
  Ids pair;              // of "a" and "b"
  const char* decoded;   // ids[1]
  const char* decoded_raw;
};

const std::vector<Recorded>& AllRecorded() {
  static const std::vector<Recorded> kRecorded = {
      {R"({"tokenizer_class": "XLMRobertaTokenizer"})",
       "sentencepiece.bpe.model",
       Fairseq(),
       {"", ""},
       23,
       1,
       {{0, 5, 6, 7, 2},
        {0, 21, 4, 12, 19, 22, 4, 13, 2},
        {0, 17, 16, 4, 14, 2},
        {0, 4, 8, 2, 4, 9, 3, 4, 3, 4, 3, 2},
        {0, 4, 3, 4, 3, 8, 3, 8, 11, 3, 4, 3, 2}},
       {0, 4, 8, 2, 2, 4, 9, 2},
       "The abé x",
       "<s> The abé<mask> x</s>"},
      {R"({"tokenizer_class": "CamembertTokenizer"})",
       "sentencepiece.bpe.model",
       Fairseq(),
       {"", ""},
       26,
       1,
       {{5, 8, 9, 10, 6},
        {5, 24, 7, 15, 22, 25, 7, 16, 6},
        {5, 20, 19, 7, 17, 6},
        {5, 7, 11, 6, 7, 12, 3, 7, 3, 7, 3, 6},
        {5, 7, 3, 7, 3, 11, 3, 11, 14, 3, 7, 3, 6}},
       {5, 7, 11, 6, 6, 7, 12, 6},
       "The abé x",
       "<s> The abé<mask> x</s>"},
      {R"({"tokenizer_class": "MBartTokenizer"})",
       "sentencepiece.bpe.model",
       Fairseq(),
       {"en_XX", "ro_RO"},
       48,
       1,
       {{5, 6, 7, 2, 25},
        {21, 4, 12, 19, 47, 4, 13, 2, 25},
        {17, 16, 4, 14, 2, 25},
        {4, 8, 2, 4, 9, 3, 4, 3, 4, 3, 2, 25},
        {4, 3, 4, 3, 8, 3, 8, 11, 3, 41, 2, 25}},
       {4, 8, 4, 9, 2, 25},
       "The abé x",
       "The abé<mask> x</s>en_XX"},
      {R"({"tokenizer_class": "MBart50Tokenizer"})",
       "sentencepiece.bpe.model",
       Fairseq(),
       {"en_XX", "fr_XX"},
       75,
       1,
       {{25, 5, 6, 7, 2},
        {25, 21, 4, 12, 19, 74, 4, 13, 2},
        {25, 17, 16, 4, 14, 2},
        {25, 4, 8, 2, 4, 9, 3, 4, 3, 4, 3, 2},
        {25, 4, 3, 4, 3, 8, 3, 8, 11, 3, 41, 2}},
       {25, 4, 8, 4, 9, 2},
       "The abé x",
       "en_XX The abé<mask> x</s>"},
      {R"({"tokenizer_class": "NllbTokenizer"})",
       "sentencepiece.bpe.model",
       Fairseq(),
       {"eng_Latn", "fra_Latn"},
       225,
       1,
       {{68, 5, 6, 7, 2},
        {68, 21, 4, 12, 19, 224, 4, 13, 2},
        {68, 17, 16, 4, 14, 2},
        {68, 4, 8, 2, 4, 9, 3, 4, 3, 4, 3, 2},
        {68, 4, 3, 78, 4, 3, 2}},
       {68, 4, 8, 4, 9, 2},
       "The abé x",
       "eng_Latn The abé<mask> x</s>"},
      {R"({"legacy_behaviour": true, "tokenizer_class": "NllbTokenizer"})",
       "sentencepiece.bpe.model",
       Fairseq(),
       {"eng_Latn", "fra_Latn"},
       225,
       1,
       {{5, 6, 7, 2, 68},
        {21, 4, 12, 19, 224, 4, 13, 2, 68},
        {17, 16, 4, 14, 2, 68},
        {4, 8, 2, 4, 9, 3, 4, 3, 4, 3, 2, 68},
        {4, 3, 78, 4, 3, 2, 68}},
       {4, 8, 4, 9, 2, 68},
       "The abé x",
       "The abé<mask> x</s> eng_Latn"},
      // Recorded with all languages listed as special tokens, which ours are anyway.
      {R"({"tokenizer_class": "M2M100Tokenizer"})",
       "sentencepiece.bpe.model",
       Fairseq(),
       {"en", "fr"},
       116,
       1,
       {{34, 5, 6, 7, 2},
        {34, 3, 4, 12, 3, 4, 3, 8, 7, 3, 4, 13, 2},
        {34, 3, 3, 4, 14, 2},
        {34, 4, 8, 2, 4, 9, 3, 4, 3, 4, 3, 2},
        {34, 40, 4, 3, 8, 3, 8, 11, 3, 4, 3, 2}},
       {34, 4, 8, 4, 9, 2},
       "ab as x",
       "__en__ <unk>ab<unk><unk>as<unk>x</s>"},
      {R"({"tokenizer_class": "PegasusTokenizer"})",
       "spiece.model",
       T5Pieces(),
       {"", ""},
       124,
       0,
       {{107, 108, 109, 1},
        {123, 106, 114, 121, 106, 105, 110, 109, 105, 106, 115, 1},
        {119, 118, 106, 116, 1},
        {106, 110, 1, 106, 111, 105, 106, 105, 106, 105, 1},
        {106, 105, 106, 105, 110, 105, 110, 113, 105, 106, 105, 1}},
       {106, 110, 106, 111, 1},
       "The abé as x",
       "The abé <unk>as<unk>x</s>"},
      {R"({"tokenizer_class": "AlbertTokenizer"})",
       "spiece.model",
       AlbertPieces(),
       {"", ""},
       23,
       0,
       {{2, 6, 7, 8, 3},
        {2, 6, 5, 13, 21, 5, 1, 9, 8, 1, 5, 14, 3},
        {2, 5, 16, 19, 16, 19, 5, 15, 3},
        {2, 5, 9, 1, 8, 1, 10, 1, 4, 5, 1, 3},
        {2, 5, 1, 5, 1, 9, 1, 9, 12, 1, 5, 1, 3}},
       {2, 5, 9, 3, 5, 10, 3},
       "the abe as x",
       "[CLS] the abe <unk> as<unk> x[SEP]"},
      {R"({"do_lower_case": false, "keep_accents": true, "tokenizer_class": "AlbertTokenizer"})",
       "spiece.model",
       AlbertPieces(),
       {"", ""},
       23,
       0,
       {{2, 6, 7, 8, 3},
        {2, 22, 5, 13, 20, 5, 1, 9, 8, 1, 5, 14, 3},
        {2, 5, 16, 19, 16, 19, 5, 15, 3},
        {2, 5, 9, 1, 8, 1, 10, 1, 4, 5, 1, 3},
        {2, 5, 1, 5, 1, 9, 1, 9, 12, 1, 5, 1, 3}},
       {2, 5, 9, 3, 5, 10, 3},
       "The abé as x",
       "[CLS] The abé <unk> as<unk> x[SEP]"},
      {R"({"tokenizer_class": "DebertaV2Tokenizer"})",
       "spm.model",
       DebertaPieces(),
       {"", ""},
       23,
       0,
       {{1, 5, 6, 7, 2},
        {1, 21, 4, 12, 19, 4, 3, 8, 7, 3, 4, 13, 2},
        {1, 17, 16, 4, 14, 2},
        {1, 4, 8, 3, 7, 3, 9, 3, 22, 4, 3, 2},
        {1, 4, 3, 4, 3, 8, 3, 8, 11, 3, 4, 3, 2}},
       {1, 4, 8, 2, 4, 9, 2},
       "The abé as x",
       "[CLS] The abé [UNK] as[UNK] x[SEP]"},
      {R"({"do_lower_case": true, "split_by_punct": true, "tokenizer_class": "DebertaV2Tokenizer"})",
       "spm.model",
       DebertaPieces(),
       {"", ""},
       23,
       0,
       {{1, 5, 6, 7, 2},
        {1, 5, 4, 12, 19, 4, 3, 4, 3, 8, 7, 3, 4, 3, 4, 13, 2},
        {1, 4, 15, 4, 18, 4, 15, 4, 18, 4, 14, 2},
        {1, 4, 8, 4, 3, 4, 3, 4, 7, 4, 3, 4, 9, 4, 3, 4, 3, 4, 3, 22, 4, 3, 2},
        {1, 4, 3, 4, 3, 4, 3, 4, 3, 4, 3, 4, 3, 8, 4, 3, 4, 3, 8, 11, 3, 4, 3, 4, 3, 4, 3, 2}},
       {1, 4, 8, 2, 4, 9, 2},
       "the abé  as  x",
       "[CLS] the abé [UNK] [UNK] as[UNK] [UNK] x[SEP]"},
      {R"({"tokenizer_class": "GemmaTokenizer"})",
       "tokenizer.model",
       GemmaPieces(),
       {"", ""},
       267,
       0,
       {{2, 120, 108, 105, 263, 266, 264, 120, 119},
        {2, 88, 108, 105, 261, 199, 173, 263, 64, 113, 264, 119, 111, 66, 263, 124},
        {2, 61, 48, 61, 48, 263, 125},
        {2, 264, 64, 51, 119, 66, 265, 3, 95, 81, 69, 87, 79, 97, 263, 126},
        {2,  99, 99,  106, 118, 99,  99,  263, 106, 118, 264,
         99, 80, 264, 120, 114, 263, 118, 115, 99,  86,  83}},
       {2, 264, 2, 265},
       "The abé <mask> x",
       "<bos>The abé <mask> x"},
      {R"({"add_bos_token": false, "add_eos_token": true, "tokenizer_class": "GemmaTokenizer"})",
       "tokenizer.model",
       GemmaPieces(),
       {"", ""},
       267,
       0,
       {{120, 108, 105, 263, 266, 264, 120, 119, 1},
        {88, 108, 105, 261, 199, 173, 263, 64, 113, 264, 119, 111, 66, 263, 124, 1},
        {61, 48, 61, 48, 263, 125, 1},
        {264, 64, 51, 119, 66, 265, 3, 95, 81, 69, 87, 79, 97, 263, 126, 1},
        {99, 99,  106, 118, 99,  99,  263, 106, 118, 264, 99,
         80, 264, 120, 114, 263, 118, 115, 99,  86,  83,  1}},
       {264, 1, 265, 1},
       "The abé <mask> x",
       "The abé <mask> x<eos>"},
  };
  return kRecorded;
}

TEST(PieceTokenizer, EqualsTheReference) {
  for (const Recorded& recorded : AllRecorded()) {
    SCOPED_TRACE(recorded.config);
    const auto tokenizer = Load(recorded.config, recorded.file, recorded.model, recorded.languages);
    EXPECT_EQ(tokenizer->vocab_size(), recorded.vocab_size);
    EXPECT_EQ(tokenizer->pad_id(), recorded.pad_id);
    for (size_t i = 0; i < recorded.ids.size(); ++i) {
      EXPECT_EQ(tokenizer->Encode(kTexts[i]).ids, recorded.ids[i]) << kTexts[i];
    }
    EXPECT_EQ(tokenizer->EncodePair("a", "b").ids, recorded.pair);
    EXPECT_EQ(tokenizer->Decode(recorded.ids[1]), recorded.decoded);
    EXPECT_EQ(tokenizer->Decode(recorded.ids[1], false), recorded.decoded_raw);
  }
}

constexpr const char* kBpeModel = "sentencepiece.bpe.model";

// What a decoder writes: its language first, or, for mBART, what follows when it began with it.
TEST(PieceTokenizer, TargetLanguages) {
  struct Target {
    const char* tokenizer_class;
    Languages languages;
    Ids ids;  // of "the cats"
    TargetStart start;
  };
  for (const Target& target :
       {Target{"MBartTokenizer", {"en_XX", "ro_RO"}, {5, 6, 7, 2}, {41, -1}},
        Target{"MBart50Tokenizer", {"en_XX", "fr_XX"}, {29, 5, 6, 7, 2}, {-1, 29}},
        Target{"NllbTokenizer", {"", "fra_Latn"}, {78, 5, 6, 7, 2}, {-1, 78}},
        Target{"M2M100Tokenizer", {"de", "fr"}, {40, 5, 6, 7, 2}, {-1, 40}}}) {
    SCOPED_TRACE(target.tokenizer_class);
    const std::string config = StrCat(R"({"tokenizer_class": ")", target.tokenizer_class, "\"}");
    const auto tokenizer = Load(config, kBpeModel, Fairseq(), target.languages);
    EXPECT_EQ(tokenizer->EncodeTarget("the cats").ids, target.ids);
    Ids plain = target.ids;
    plain.pop_back();
    EXPECT_EQ(tokenizer->EncodeTarget("the cats", {.add_special_tokens = false}).ids, plain);
    TargetStart start;
    tokenizer->BeginTarget(start);
    EXPECT_EQ(start.decoder_start_id, target.start.decoder_start_id);
    EXPECT_EQ(start.forced_first_id, target.start.forced_first_id);

    // Without a choice: asked for, but where the model's configuration has one.
    const auto without = Load(config, kBpeModel, Fairseq());
    tests::ExpectError(ErrorKind::kUsage,
                       {"languages and none is chosen", "target-language", target.languages.target},
                       [&] { without->EncodeTarget("the cats"); });
    TargetStart none, there = target.start;
    tests::ExpectError(ErrorKind::kUsage, {"target-language"}, [&] { without->BeginTarget(none); });
    without->BeginTarget(there);
    EXPECT_EQ(there.forced_first_id, target.start.forced_first_id);
    EXPECT_FALSE(without->Encode("the cats").ids.empty());  // the source has a default
  }
}

TEST(PieceTokenizer, LanguagesOfTheConfiguration) {
  const auto load = [](std::string_view config, const Languages& languages = {}) {
    return Load(config, kBpeModel, Fairseq(), languages);
  };
  constexpr const char* kNamed =
      R"({"tokenizer_class": "NllbTokenizer", "src_lang": "por_Latn", "tgt_lang": "eng_Latn"})";
  EXPECT_EQ(load(kNamed)->Encode("the").ids, (Ids{162, 5, 2}));
  EXPECT_EQ(load(kNamed)->EncodeTarget("the").ids, (Ids{68, 5, 2}));
  EXPECT_EQ(load(kNamed, {"fra_Latn", "por_Latn"})->EncodeTarget("the").ids, (Ids{162, 5, 2}));
  EXPECT_EQ(load(kNamed)->LanguageCodes().size(), 202u);
  // A language that somebody added.
  constexpr const char* kAdded =
      R"({"tokenizer_class": "NllbTokenizer", "additional_special_tokens": ["tyv_Cyrl"]})";
  EXPECT_EQ(load(kAdded, {"tyv_Cyrl", "fra_Latn"})->Encode("the").ids, (Ids{225, 5, 2}));
  tests::ExpectError(ErrorKind::kUsage,
                     {"target-language: 'fr' is not one of", "fra_Latn", "zul_Latn"}, [&] {
                       load(kNamed, {"", "fr"});
                     });
  tests::ExpectError(ErrorKind::kUsage, {"source-language: 'fra_Lat'", "did you mean 'fra_Latn'?"},
                     [&] {
                       load(kNamed, {"fra_Lat", "fra_Latn"});
                     });
  tests::ExpectError(ErrorKind::kInput, {"tokenizer_config.json: src_lang", "'xx' is not one of"},
                     [&] { load(R"({"tokenizer_class": "MBartTokenizer", "src_lang": "xx"})"); });
  EXPECT_EQ(
      load(R"({"tokenizer_class": "M2M100Tokenizer", "language_codes": "wmt21"})", {"en", "de"})
          ->LanguageCodes()
          .size(),
      8u);
  tests::ExpectError(ErrorKind::kInput, {"language_codes is 'x'", "wmt21"}, [&] {
    load(R"({"tokenizer_class": "M2M100Tokenizer", "language_codes": "x"})");
  });
  tests::ExpectError(ErrorKind::kUsage, {"target-language is 'fr'", "no tokens for languages"},
                     [&] {
                       load(R"({"tokenizer_class": "XLMRobertaTokenizer"})", {"", "fr"});
                     });
}

TEST(PieceTokenizer, Options) {
  const auto load = [](std::string_view config) {
    return Load(config, "spiece.model", T5Pieces());
  };
  EXPECT_EQ(load(R"({"tokenizer_class": "PegasusTokenizer", "offset": 7})")->Encode("the").ids,
            (Ids{11, 1}));
  EXPECT_EQ(load(R"({"tokenizer_class": "PegasusTokenizer", "truncation_side": "left"})")
                ->Encode("the cats", {.max_tokens = 3})
                .ids,
            (Ids{108, 109, 1}));
  EXPECT_EQ(
      load(R"({"tokenizer_class": "PegasusTokenizer"})")->Encode("the cats", {.max_tokens = 3}).ids,
      (Ids{107, 108, 1}));
  tests::ExpectError(ErrorKind::kInput, {"truncation_side is 'up'"}, [&] {
    load(R"({"tokenizer_class": "PegasusTokenizer", "truncation_side": "up"})");
  });
  tests::ExpectError(ErrorKind::kInput, {"split_special_tokens: true is not supported"}, [&] {
    load(R"({"tokenizer_class": "PegasusTokenizer", "split_special_tokens": true})");
  });
  constexpr const char* kNoSampling =
      R"({"tokenizer_class": "PegasusTokenizer", "sp_model_kwargs": {"enable_sampling": false}})";
  EXPECT_EQ(load(kNoSampling)->vocab_size(), 124);
  tests::ExpectError(ErrorKind::kInput, {"sp_model_kwargs: enable_sampling: true is not supported"},
                     [&] { load(ReplaceAll(kNoSampling, "false", "true")); });
}

TEST(PieceTokenizer, TokensThatAreMissing) {
  tests::ExpectError(ErrorKind::kInput, {"spiece.model", "pad_token '' is not in the vocabulary"},
                     [] {
                       Load(R"({"tokenizer_class": "AlbertTokenizer", "pad_token": null})",
                            "spiece.model", AlbertPieces());
                     });
}

TEST(PieceTokenizer, HolesOfVocabJson) {
  const tests::TempDir dir;
  dir.Write(kBpeModel, FormatSentencePieceModel(Fairseq()));
  dir.Write("tokenizer_config.json", R"({"tokenizer_class": "M2M100Tokenizer"})");
  dir.Write("vocab.json", R"({"</s>": 0, "<unk>": 1, "<s>": 3, "<pad>": 200})");
  const auto tokenizer = LoadTokenizer(dir.path());
  EXPECT_EQ(tokenizer->Decode({2, 1}, false), "<unk><unk>");
  EXPECT_EQ(tokenizer->pad_id(), 200);
}

TEST(PieceTokenizer, MaskTokens) {
  struct Masked {
    const char* tokenizer_class;
    const char* file;
    SentencePieceModel model;
    int64_t id;
  };
  for (const Masked& masked : {Masked{"XLMRobertaTokenizer", kBpeModel, Fairseq(), 22},
                               Masked{"CamembertTokenizer", kBpeModel, Fairseq(), 25},
                               Masked{"AlbertTokenizer", "spiece.model", AlbertPieces(), 4},
                               Masked{"DebertaV2Tokenizer", "spm.model", DebertaPieces(), 22}}) {
    const auto tokenizer = Load(StrCat(R"({"tokenizer_class": ")", masked.tokenizer_class, "\"}"),
                                masked.file, masked.model);
    EXPECT_EQ(tokenizer->mask_id(), masked.id) << masked.tokenizer_class;
  }
}

// Where tokenizer_config.json lists no added tokens, tokenizer.json's count.
TEST(PieceTokenizer, AddedTokensOfTokenizerJson) {
  const tests::TempDir dir;
  dir.Write(kBpeModel, FormatSentencePieceModel(Fairseq()));
  dir.Write("tokenizer_config.json", R"({"tokenizer_class": "XLMRobertaTokenizerFast"})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("<mask>").ids, (Ids{0, 22, 2}));
  dir.Write("tokenizer.json", R"({"added_tokens": [{"id": 30, "content": "<new>"}]})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("<new>the").ids, (Ids{0, 30, 5, 2}));
}

}  // namespace
}  // namespace moefy::text
