// Options and special tokens of tokenizers around a SentencePiece model. Expected ids:
// transformers 4.44's slow tokenizers on the same tiny models.
#include "text/tokenizer_kinds.h"

#include <gtest/gtest.h>

#include "piece_models.h"
#include "support/expect_error.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

// A Pegasus tokenizer with some options.
std::unique_ptr<Tokenizer> LoadPiece(std::string_view options) {
  return LoadPieces(StrCat(R"({"tokenizer_class": "PegasusTokenizer")", options, "}"),
                    "spiece.model", PegasusPieces());
}

TEST(PieceTokenizer, OptionsThatCount) {
  struct Row {
    const char* options;
    int64_t vocab_size;
    Ids ids;  // of "the cats", in three tokens
  };
  const Row rows[] = {
      {"", 124, {107, 108, 1}},
      {R"(, "offset": 7)", 28, {11, 12, 1}},
      {R"(, "truncation_side": "left")", 124, {108, 109, 1}},
      {R"(, "split_special_tokens": false)", 124, {107, 108, 1}},
      {R"(, "sp_model_kwargs": {"enable_sampling": false})", 124, {107, 108, 1}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.options);
    const auto tokenizer = LoadPiece(row.options);
    EXPECT_EQ(tokenizer->vocab_size(), row.vocab_size);
    EXPECT_EQ(tokenizer->Encode("the cats", {.max_tokens = 3}).ids, row.ids);
  }
}

TEST(PieceTokenizer, OptionsThatAreRefused) {
  const std::pair<const char*, const char*> rows[] = {
      {R"(, "truncation_side": "up")", "truncation_side is 'up'"},
      {R"(, "split_special_tokens": true)", "split_special_tokens: true is not supported"},
      {R"(, "sp_model_kwargs": {"enable_sampling": true})",
       "sp_model_kwargs: enable_sampling: true is not supported"},
  };
  for (const auto& [options, fragment] : rows) {
    SCOPED_TRACE(options);
    tests::ExpectError(ErrorKind::kInput, {fragment}, [&, text = options] { LoadPiece(text); });
  }
}

TEST(PieceTokenizer, TokensThatAreMissing) {
  tests::ExpectError(ErrorKind::kInput, {"spiece.model", "pad_token '' is not in the vocabulary"},
                     [] {
                       LoadPieces(R"({"tokenizer_class": "AlbertTokenizer", "pad_token": null})",
                                  "spiece.model", AlbertPieces());
                     });
}

TEST(PieceTokenizer, HolesOfVocabJson) {
  const tests::TempDir dir;
  dir.Write(kBpeFile, tests::FormatSentencePieceModel(FairseqPieces()));
  dir.Write("tokenizer_config.json", R"({"tokenizer_class": "M2M100Tokenizer"})");
  dir.Write("vocab.json", R"({"</s>": 0, "<unk>": 1, "<s>": 3, "<pad>": 200})");
  const auto tokenizer = LoadTokenizer(dir.path());
  EXPECT_EQ(tokenizer->Decode({2, 1}, false), "<unk><unk>");
  EXPECT_EQ(tokenizer->pad_id(), 200);
}

TEST(PieceTokenizer, MaskTokens) {
  const std::pair<std::string_view, std::optional<int64_t>> rows[] = {{"xlm_roberta", 22},
                                                                      {"camembert", 25},
                                                                      {"albert", 4},
                                                                      {"deberta", 22},
                                                                      {"gemma", std::nullopt}};
  for (const auto& [name, id] : rows) EXPECT_EQ(LoadPieceCase(name)->mask_id(), id) << name;
}

// Where tokenizer_config.json lists no added tokens, those of tokenizer.json count.
TEST(PieceTokenizer, AddedTokensOfTokenizerJson) {
  const tests::TempDir dir;
  dir.Write(kBpeFile, tests::FormatSentencePieceModel(FairseqPieces()));
  dir.Write("tokenizer_config.json", R"({"tokenizer_class": "XLMRobertaTokenizerFast"})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("<mask>").ids, (Ids{0, 22, 2}));
  dir.Write("tokenizer.json", R"({"added_tokens": [{"id": 30, "content": "<new>"}]})");
  EXPECT_EQ(LoadTokenizer(dir.path())->Encode("<new>the").ids, (Ids{0, 30, 5, 2}));
}

}  // namespace
}  // namespace moefy::text
