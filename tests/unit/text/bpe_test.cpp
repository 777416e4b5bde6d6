#include "text/byte_level/bpe.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "text/byte_level/byte_level.h"

namespace moefy::text {
namespace {

using Ids = std::vector<int64_t>;

std::shared_ptr<const Vocabulary> MakeVocabulary(const std::vector<std::string>& tokens) {
  auto vocabulary = std::make_shared<Vocabulary>();
  for (const std::string& token : tokens) vocabulary->Add(token, vocabulary->size());
  return vocabulary;
}

Ids Encode(const Bpe& bpe, std::string_view word) {
  Ids ids;
  bpe.AppendIds(word, ids);
  return ids;
}

TEST(Bpe, MergesInTheOrderOfTheList) {
  const auto vocabulary = MakeVocabulary({"a", "b", "c", "ab", "bc", "abc", "aa"});
  EXPECT_EQ(Encode(Bpe(vocabulary, {{"a", "b"}, {"ab", "c"}, {"b", "c"}}, {}), "abc"), Ids{5});
  EXPECT_EQ(Encode(Bpe(vocabulary, {{"b", "c"}, {"a", "b"}, {"ab", "c"}}, {}), "abc"), (Ids{0, 4}));
  EXPECT_EQ(Encode(Bpe(vocabulary, {{"a", "a"}}, {}), "aaaaa"), (Ids{6, 6, 0}));
  EXPECT_EQ(Encode(Bpe(vocabulary, {}, {}), "abc"), (Ids{0, 1, 2}));
  EXPECT_EQ(Encode(Bpe(vocabulary, {}, {}), ""), Ids{});
}

TEST(Bpe, UnknownCharacters) {
  const auto vocabulary = MakeVocabulary({"a", "<unk>", "<0xC3>", "<0xA9>"});
  EXPECT_EQ(Encode(Bpe(vocabulary, {}, {}), "axya"), (Ids{0, 0}));
  EXPECT_EQ(Encode(Bpe(vocabulary, {}, {.unknown_id = 1}), "axya"), (Ids{0, 1, 1, 0}));
  EXPECT_EQ(Encode(Bpe(vocabulary, {}, {.unknown_id = 1, .fuse_unknown = true}), "axya"),
            (Ids{0, 1, 0}));
  const Bpe bytes(vocabulary, {}, {.unknown_id = 1, .byte_fallback = true});
  EXPECT_EQ(Encode(bytes, "aé"), (Ids{0, 2, 3}));
  EXPECT_EQ(Encode(bytes, "ü"), Ids{1});  // one of its bytes is missing
}

TEST(Bpe, PrefixSuffixAndWholeWords) {
  const auto vocabulary = MakeVocabulary({"a", "##b", "ab", "b</w>", "ab</w>", "a</w>"});
  EXPECT_EQ(Encode(Bpe(vocabulary, {{"a", "##b"}}, {.continuing_prefix = "##"}), "ab"), Ids{2});
  EXPECT_EQ(Encode(Bpe(vocabulary, {{"a", "b</w>"}}, {.end_of_word_suffix = "</w>"}), "ab"),
            Ids{4});
  EXPECT_EQ(Encode(Bpe(vocabulary, {}, {.ignore_merges = true}), "ab"), Ids{2});
  EXPECT_EQ(Encode(Bpe(vocabulary, {}, {}), "a"), Ids{0});
}

TEST(Bpe, RefusesMergesThatTheVocabularyLacks) {
  const auto vocabulary = MakeVocabulary({"a", "b", "ab"});
  EXPECT_NO_THROW(Bpe(vocabulary, {{"a", "b"}}, {}));
  tests::ExpectError(ErrorKind::kInput, {"merge 2", "'a' with 'x'", "'x' is not in the vocabulary"},
                     [&] {
                       Bpe(vocabulary, {{"a", "b"}, {"a", "x"}}, {});
                     });
  // A merge can never lead back to its own parts: the result is longer.
  tests::ExpectError(ErrorKind::kInput, {"merge 1", "'aba' is not in the vocabulary"}, [&] {
    Bpe(vocabulary, {{"ab", "a"}, {"a", "ab"}}, {});
  });
  tests::ExpectError(ErrorKind::kInput, {"'b' does not begin with '##'"}, [&] {
    Bpe(vocabulary, {{"a", "b"}}, {.continuing_prefix = "##"});
  });
}

// A quadratic algorithm would take hours.
TEST(Bpe, LongWords) {
  std::vector<std::string> tokens = {"a"};
  Bpe::Merges merges;
  for (int i = 0; i < 10; ++i) {
    merges.emplace_back(tokens.back(), tokens.back());
    tokens.push_back(tokens.back() + tokens.back());
  }
  const Bpe bpe(MakeVocabulary(tokens), merges, {});
  EXPECT_EQ(Encode(bpe, std::string(1 << 18, 'a')), Ids(1 << 8, 10));
}

TEST(ParseMerges, OnePairALine) {
  using Merges = Bpe::Merges;
  EXPECT_EQ(ParseMerges("#version: 0.2\na b\nĠ ab\n"), (Merges{{"a", "b"}, {"Ġ", "ab"}}));
  EXPECT_EQ(ParseMerges("a b\r\n\n# #"), (Merges{{"a", "b"}, {"#", "#"}}));
  EXPECT_EQ(ParseMerges(""), Merges{});
  for (const char* bad : {"a b\nab\n", "a b\na b c\n", "a b\n ab\n", "a b\nab \n"}) {
    tests::ExpectError(ErrorKind::kInput, {"line 2", "expected two tokens and a space"},
                       [&] { ParseMerges(bad); });
  }
  tests::ExpectError(ErrorKind::kInput, {"line 1, byte 3 is 0xff, not valid UTF-8"},
                     [&] { ParseMerges("a \xff\n"); });
}

TEST(ByteToken, BothWays) {
  EXPECT_EQ(ByteToken(0x0a), "<0x0A>");
  EXPECT_EQ(ParseByteToken("<0xFE>"), 0xfe);
  for (const char* other : {"<0xfe>", "<0xF>", "<0xFEF>", "0xFE", ""}) {
    EXPECT_EQ(ParseByteToken(other), std::nullopt) << other;
  }
}

TEST(ByteCharacters, BothWays) {
  EXPECT_EQ(ToByteCharacters(" a\n"), "ĠaĊ");
  EXPECT_EQ(ToByteCharacters("é"), "Ã©");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(FromByteCharacters(ToByteCharacters(all)), all);
  EXPECT_EQ(FromByteCharacters("a日"), "a日");  // stands for no bytes
}

TEST(Vocabulary, EveryTokenHasOneId) {
  const Json good = ParseJson(R"({"a": 0, "b": 3})");
  const Vocabulary vocabulary = ParseVocabularyJson(good, "v");
  EXPECT_EQ(vocabulary.size(), 4);
  EXPECT_EQ(vocabulary.Find("b"), 3);
  EXPECT_EQ(vocabulary.Get(3), "b");
  tests::ExpectError(ErrorKind::kInput, {"token id 2 has no token"}, [&] { vocabulary.Get(2); });
  struct Bad {
    const char* json;
    const char* fragment;
  };
  for (const Bad& bad :
       {Bad{R"({"a": 0, "b": 0})", "v: tokens 'a' and 'b' have the same id, 0"},
        Bad{R"({"a": -1})", "token 'a' has id -1; expected a whole number below"},
        Bad{R"({"a": 1e3})", "has id 1000.0"}, Bad{R"({"a": "x"})", "has id \"x\""},
        Bad{R"({"a": 1000000})", "below 65537 for 1 tokens"}, Bad{"{}", "empty"},
        Bad{"[]", "expected an object"}}) {
    const Json json = ParseJson(bad.json);
    tests::ExpectError(ErrorKind::kInput, {bad.fragment}, [&] { ParseVocabularyJson(json, "v"); });
  }
}

}  // namespace
}  // namespace moefy::text
