// The languages of translation models: which tokens stand for them, and where these go.
// Expected ids: transformers 4.44's slow tokenizers on the same tiny models.
#include "text/languages.h"

#include <gtest/gtest.h>

#include "piece_models.h"
#include "support/expect_error.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

std::unique_ptr<Tokenizer> LoadWithLanguages(std::string_view config,
                                             const Languages& languages = {}) {
  return LoadPieces(config, kBpeFile, FairseqPieces(), languages);
}

// What a decoder writes: its language first, or, for mBART, what follows when it began with it.
TEST(PieceLanguages, OfTheTarget) {
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
    const auto tokenizer = LoadWithLanguages(config, target.languages);
    EXPECT_EQ(tokenizer->EncodeTarget("the cats").ids, target.ids);
    Ids plain = target.ids;
    plain.pop_back();
    EXPECT_EQ(tokenizer->EncodeTarget("the cats", {.add_special_tokens = false}).ids, plain);
    TargetStart start;
    tokenizer->BeginTarget(start);
    EXPECT_EQ(start.decoder_start_id, target.start.decoder_start_id);
    EXPECT_EQ(start.forced_first_id, target.start.forced_first_id);

    // Where none is chosen, the command must name one, unless the model's configuration does.
    const auto without = LoadWithLanguages(config);
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

constexpr const char* kNamed =
    R"({"tokenizer_class": "NllbTokenizer", "src_lang": "por_Latn", "tgt_lang": "eng_Latn"})";
constexpr const char* kAdded =
    R"({"tokenizer_class": "NllbTokenizer", "additional_special_tokens": ["tyv_Cyrl"]})";
constexpr const char* kWmt21 =
    R"({"tokenizer_class": "M2M100Tokenizer", "language_codes": "wmt21"})";

TEST(PieceLanguages, OfTheConfigurationAndOfTheCommand) {
  struct Row {
    const char* config;
    Languages languages;
    Ids source, target;  // of "the"
    size_t num_codes;
  };
  const Row rows[] = {
      {kNamed, {"", ""}, {162, 5, 2}, {68, 5, 2}, 202},
      {kNamed, {"fra_Latn", "por_Latn"}, {78, 5, 2}, {162, 5, 2}, 202},  // the command wins
      {kAdded, {"tyv_Cyrl", "fra_Latn"}, {225, 5, 2}, {78, 5, 2}, 203},  // added by somebody
      {kWmt21, {"en", "de"}, {16, 5, 2}, {23, 5, 2}, 8},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(StrCat(row.config, " ", row.languages.target));
    const auto tokenizer = LoadWithLanguages(row.config, row.languages);
    EXPECT_EQ(tokenizer->Encode("the").ids, row.source);
    EXPECT_EQ(tokenizer->EncodeTarget("the").ids, row.target);
    EXPECT_EQ(tokenizer->LanguageCodes().size(), row.num_codes);
  }
}

TEST(PieceLanguages, UnknownOnesAreRefusedWithTheList) {
  struct Row {
    const char* config;
    Languages languages;
    ErrorKind kind;
    std::vector<const char*> fragments;
  };
  const Row rows[] = {
      {kNamed,
       {"", "fr"},
       ErrorKind::kUsage,
       {"target-language: 'fr' is not one of", "fra_Latn", "zul_Latn"}},
      {kNamed,
       {"fra_Lat", "fra_Latn"},
       ErrorKind::kUsage,
       {"source-language: 'fra_Lat'", "did you mean 'fra_Latn'?"}},
      {R"({"tokenizer_class": "MBartTokenizer", "src_lang": "xx"})",
       {},
       ErrorKind::kInput,
       {"tokenizer_config.json: src_lang", "'xx' is not one of"}},
      {R"({"tokenizer_class": "M2M100Tokenizer", "language_codes": "x"})",
       {},
       ErrorKind::kInput,
       {"language_codes is 'x'", "wmt21"}},
      {R"({"tokenizer_class": "XLMRobertaTokenizer"})",
       {"", "fr"},
       ErrorKind::kUsage,
       {"target-language is 'fr'", "no tokens for languages"}},
  };
  for (const Row& row : rows) {
    for (const char* fragment : row.fragments) {
      SCOPED_TRACE(row.config);
      tests::ExpectError(row.kind, {fragment},
                         [&] { LoadWithLanguages(row.config, row.languages); });
    }
  }
}

}  // namespace
}  // namespace moefy::text
