#include "text/tokenizer_kinds.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/temp_dir.h"
#include "tiny_models.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

std::unique_ptr<Tokenizer> LoadWordPiece(std::string_view vocabulary,
                                         std::string_view config = "{}") {
  const tests::TempDir dir;
  dir.Write("vocab.txt", vocabulary);
  dir.Write("tokenizer_config.json", config);
  return LoadTokenizer(dir.path());
}

TEST(WordPiece, TakesTheLongestPieces) {
  const auto tokenizer = LoadWordPiece(kTinyVocabulary);
  EXPECT_EQ(tokenizer->Encode("Unaffable cats!").ids, (Ids{2, 5, 6, 7, 9, 10, 12, 3}));
  EXPECT_EQ(tokenizer->Encode("catx Café", {.add_special_tokens = false}).ids, (Ids{1, 13}));
  EXPECT_EQ(tokenizer->Encode("").ids, (Ids{2, 3}));
  EXPECT_EQ(tokenizer->vocab_size(), 17);
  EXPECT_EQ(tokenizer->pad_id(), 0);
  EXPECT_EQ(tokenizer->eos_id(), std::nullopt);
}

TEST(WordPiece, LongWordsAreUnknown) {
  std::string word = "t";
  const auto tokenizer = LoadWordPiece(std::string(kTinyVocabulary) + "##t\n");
  word.append(99, 't');
  EXPECT_EQ(tokenizer->Encode(word).ids.size(), 102u);
  word += 't';
  EXPECT_EQ(tokenizer->Encode(word).ids, (Ids{2, 1, 3}));
}

TEST(WordPiece, SpecialTokensInText) {
  const auto tokenizer = LoadWordPiece(kTinyVocabulary);
  EXPECT_EQ(tokenizer->Encode("cat[MASK] the[SEP]", {.add_special_tokens = false}).ids,
            (Ids{9, 4, 8, 3}));
  EXPECT_EQ(tokenizer->Encode("[mask]", {.add_special_tokens = false}).ids, (Ids{1, 1, 1}));
}

TEST(WordPiece, PairsAndTruncation) {
  const auto tokenizer = LoadWordPiece(kTinyVocabulary);
  const Encoding pair = tokenizer->EncodePair("the cat", "cats");
  EXPECT_EQ(pair.ids, (Ids{2, 8, 9, 3, 9, 10, 3}));
  EXPECT_EQ(pair.token_type_ids, (Ids{0, 0, 0, 0, 1, 1, 1}));
  // Of equals the second gives way, then the longer.
  EXPECT_EQ(tokenizer->EncodePair("the cat", "cats", {.max_tokens = 6}).ids,
            (Ids{2, 8, 9, 3, 9, 3}));
  EXPECT_EQ(tokenizer->EncodePair("the cat", "cats", {.max_tokens = 5}).ids, (Ids{2, 8, 3, 9, 3}));
  EXPECT_EQ(
      tokenizer
          ->EncodePair("the cat", "cats", {.max_tokens = 5, .truncation = Truncation::kOnlySecond})
          .ids,
      (Ids{2, 8, 9, 3, 3}));
  EXPECT_EQ(tokenizer->Encode("the cat", {.max_tokens = 3}).ids, (Ids{2, 8, 3}));
  const Encoding bare = tokenizer->EncodePair("the", "cat", {.add_special_tokens = false});
  EXPECT_EQ(bare.ids, (Ids{8, 9}));
  EXPECT_EQ(bare.token_type_ids, (Ids{0, 1}));
  tests::ExpectError(ErrorKind::kUsage, {"at most 1", "2 special"},
                     [&] { tokenizer->Encode("the", {.max_tokens = 1}); });
  tests::ExpectError(ErrorKind::kUsage, {"first segment of 2"}, [&] {
    tokenizer->EncodePair("the cat", "the",
                          {.max_tokens = 4, .truncation = Truncation::kOnlySecond});
  });
}

TEST(WordPiece, Decodes) {
  const auto tokenizer = LoadWordPiece(kTinyVocabulary);
  const Ids ids = tokenizer->Encode("unaffable, cats!").ids;
  EXPECT_EQ(tokenizer->Decode(ids), "unaffable, cats!");
  EXPECT_EQ(tokenizer->Decode(ids, false), "[CLS] unaffable , cats ! [SEP]");
  EXPECT_EQ(
      LoadWordPiece(kTinyVocabulary, R"({"clean_up_tokenization_spaces": false})")->Decode(ids),
      "unaffable , cats !");
  tests::ExpectError(ErrorKind::kInput, {"token id 17 is not in 0..16"},
                     [&] { tokenizer->Decode({17}); });
  tests::ExpectError(ErrorKind::kInput, {"token id -1"}, [&] { tokenizer->Decode({-1}); });
}

TEST(WordPiece, Options) {
  const auto ids = [](const char* config, std::string_view text) {
    return LoadWordPiece(std::string(kTinyVocabulary) + "The\ncat!\n", config)
        ->Encode(text, {.add_special_tokens = false})
        .ids;
  };
  EXPECT_EQ(ids("{}", "The cat!"), (Ids{8, 9, 12}));
  EXPECT_EQ(ids(R"({"do_lower_case": false})", "The cat!"), (Ids{17, 9, 12}));
  EXPECT_EQ(ids(R"({"never_split": ["cat!"]})", "the cat!"), (Ids{8, 18}));
  EXPECT_EQ(ids(R"({"do_basic_tokenize": false})", "the cat!"), (Ids{8, 18}));
  // Added later, at the end of the vocabulary or where the configuration says.
  EXPECT_EQ(ids(R"({"additional_special_tokens": ["<x>"]})", "the<x>"), (Ids{8, 19}));
  EXPECT_EQ(
      ids(R"({"added_tokens_decoder": {"40": {"content": "<y>", "special": true}}})", "the<y>"),
      (Ids{8, 40}));
}

TEST(WordPiece, WindowsLineEnds) {
  EXPECT_EQ(LoadWordPiece("[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\nthe\r\n")->Encode("the").ids,
            (Ids{2, 4, 3}));
}

TEST(WordPiece, RefusesBadVocabularies) {
  struct Bad {
    const char* vocabulary;
    const char* fragment;
  };
  for (const Bad& bad :
       {Bad{"", "is empty"}, Bad{"[PAD]\n[CLS]\n[SEP]\na\n", "lacks unk_token '[UNK]'"},
        Bad{"a\n", "unk_token '[UNK]', sep_token '[SEP]', pad_token '[PAD]'"},
        Bad{"[PAD]\n[UNK]\n[CLS]\n[SEP]\n\xff\n", "line 5, byte 1 is 0xff, not valid UTF-8"}}) {
    tests::ExpectError(ErrorKind::kInput, {"vocab.txt", bad.fragment},
                       [&] { LoadWordPiece(bad.vocabulary); });
  }
}

// As the reference has it: the last of equal lines gives the id, all of them are read back.
TEST(WordPieceTokenizer, OddLines) {
  const auto tokenizer =
      LoadWordPiece("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nfilm\n\u00a0\n\nthe\n");
  EXPECT_EQ(tokenizer->Encode("the film").ids, (Ids{2, 9, 6, 3}));
  EXPECT_EQ(tokenizer->Decode({2, 5, 6, 9, 3}), "the film the");
  EXPECT_EQ(tokenizer->vocab_size(), 10);
  EXPECT_EQ(tokenizer->Encode("\u00a0").ids, (Ids{2, 3}));  // no text gives white space
  tests::ExpectError(ErrorKind::kInput, {"token id 8 has no token"},
                     [&] { tokenizer->Decode({8}); });
}

}  // namespace
}  // namespace moefy::text
