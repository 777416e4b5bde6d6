#include "text/bert/bert_words.h"

#include <gtest/gtest.h>

namespace moefy::text {
namespace {

using BasicTokens = std::vector<std::string>;

TEST(BertWords, LowersAndStripsAccents) {
  EXPECT_EQ(SplitBertWords("Café  NAÏVE", {}), (BasicTokens{"cafe", "naive"}));
  EXPECT_EQ(SplitBertWords("Café", {.strip_accents = false}), BasicTokens{"café"});
  EXPECT_EQ(SplitBertWords("Café", {.lower_case = false}), BasicTokens{"Café"});
  EXPECT_EQ(SplitBertWords("Café", {.lower_case = false, .strip_accents = true}),
            BasicTokens{"Cafe"});
  EXPECT_EQ(SplitBertWords("e\u0301", {.strip_accents = false}), BasicTokens{"é"});  // composed
}

TEST(BertWords, SetsPunctuationApart) {
  EXPECT_EQ(SplitBertWords("it's $5.", {}), (BasicTokens{"it", "'", "s", "$", "5", "."}));
  EXPECT_EQ(SplitBertWords("“a”…", {}), (BasicTokens{"“", "a", "”", "…"}));
}

TEST(BertWords, SetsCjkApart) {
  EXPECT_EQ(SplitBertWords("a中文b", {}), (BasicTokens{"a", "中", "文", "b"}));
  EXPECT_EQ(SplitBertWords("a中文b", {.split_cjk = false}), BasicTokens{"a中文b"});
  EXPECT_EQ(SplitBertWords("カナ", {}), BasicTokens{"カナ"});  // kana is no ideograph
}

TEST(BertWords, DropsControlCharacters) {
  EXPECT_EQ(SplitBertWords(std::string_view("a\0b\x01"
                                            "c\u200bd\ufffd",
                                            12),
                           {}),
            BasicTokens{"abcd"});
  EXPECT_EQ(SplitBertWords("a\tb\nc\rd\u00a0e", {}), (BasicTokens{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(SplitBertWords(" \n ", {}), BasicTokens{});
}

TEST(BertWords, NeverSplitKeepsWords) {
  EXPECT_EQ(SplitBertWords("a-B A-B", {.never_split = {"A-B"}}),
            (BasicTokens{"a", "-", "b", "A-B"}));
}

}  // namespace
}  // namespace moefy::text
