#include "text/unicode.h"

#include <gtest/gtest.h>

#include "moefy/base/strings.h"

namespace moefy::text {
namespace {

TEST(Unicode, RepairsEachMaximalSubpart) {
  EXPECT_EQ(RepairUtf8("Zürich 日本 😀"), "Zürich 日本 😀");
  EXPECT_EQ(RepairUtf8("a\xff"
                       "b"),
            "a\uFFFDb");
  EXPECT_EQ(RepairUtf8("\xe6\x97"), "\uFFFD");                  // one cut character
  EXPECT_EQ(RepairUtf8("\xc0\xaf"), "\uFFFD\uFFFD");            // an overlong form
  EXPECT_EQ(RepairUtf8("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(RepairUtf8("\xf0\x9f\x98x"), "\uFFFDx");
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string bytes = {static_cast<char>(first), static_cast<char>(second)};
      EXPECT_TRUE(IsValidUtf8(RepairUtf8(bytes)));
    }
  }
}

TEST(Unicode, StripsWhatPythonCallsSpace) {
  EXPECT_EQ(Strip(" \t\n\u00a0\u3000a b\u2028\x1c "), "a b");
  EXPECT_EQ(StripLeft("  a "), "a ");
  EXPECT_EQ(StripRight("  a "), "  a");
  EXPECT_EQ(Strip("\u200b"), "\u200b");  // a zero width space is none
  EXPECT_EQ(Strip(" \u2003 "), "");
  EXPECT_EQ(SplitOnSpace("  a\u00a0 bc\t"), (std::vector<std::string>{"a", "bc"}));
}

TEST(Unicode, LowersEachCharacterAlone) {
  EXPECT_EQ(LowerEach("ÀΣ[Q]"), "àσ[q]");
  EXPECT_EQ(LowerEach("ΑΣ"), "ασ");  // no final sigma
  EXPECT_EQ(LowerEach("İ"), "i\u0307");
}

TEST(Unicode, Normalizes) {
  EXPECT_EQ(ToNfc("e\u0301"), "é");
  EXPECT_EQ(ToNfd("é"), "e\u0301");
  EXPECT_EQ(ToNfd("한"), "\u1112\u1161\u11ab");
}

}  // namespace
}  // namespace moefy::text
