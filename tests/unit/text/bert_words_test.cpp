#include "text/bert/bert_words.h"

#include <gtest/gtest.h>

namespace moefy::text {
namespace {

using Words = std::vector<std::string>;

TEST(BertWords, LowersAndStripsAccents) {
  EXPECT_EQ(SplitBertWords("Café  NAÏVE", {}), (Words{"cafe", "naive"}));
  EXPECT_EQ(SplitBertWords("Café", {.strip_accents = false}), Words{"café"});
  EXPECT_EQ(SplitBertWords("Café", {.lower_case = false}), Words{"Café"});
  EXPECT_EQ(SplitBertWords("Café", {.lower_case = false, .strip_accents = true}), Words{"Cafe"});
  EXPECT_EQ(SplitBertWords("e\u0301", {.strip_accents = false}), Words{"é"});  // composed
}

TEST(BertWords, SetsPunctuationApart) {
  EXPECT_EQ(SplitBertWords("it's $5.", {}), (Words{"it", "'", "s", "$", "5", "."}));
  EXPECT_EQ(SplitBertWords("“a”…", {}), (Words{"“", "a", "”", "…"}));
}

TEST(BertWords, SetsCjkApart) {
  EXPECT_EQ(SplitBertWords("a中文b", {}), (Words{"a", "中", "文", "b"}));
  EXPECT_EQ(SplitBertWords("a中文b", {.split_cjk = false}), Words{"a中文b"});
  EXPECT_EQ(SplitBertWords("カナ", {}), Words{"カナ"});  // kana is no ideograph
}

TEST(BertWords, DropsControlCharacters) {
  EXPECT_EQ(SplitBertWords(std::string_view("a\0b\x01"
                                            "c\u200bd\ufffd",
                                            12),
                           {}),
            Words{"abcd"});
  EXPECT_EQ(SplitBertWords("a\tb\nc\rd\u00a0e", {}), (Words{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(SplitBertWords(" \n ", {}), Words{});
}

TEST(BertWords, NeverSplitKeepsWords) {
  EXPECT_EQ(SplitBertWords("a-B A-B", {.never_split = {"A-B"}}), (Words{"a", "-", "b", "A-B"}));
}

}  // namespace
}  // namespace moefy::text
