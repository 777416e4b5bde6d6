#include "moefy/base/strings.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace moefy {
namespace {

using Names = std::vector<std::string>;

TEST(Strings, CatWritesPathsUnquoted) {
  EXPECT_EQ(StrCat("a", 1, ' ', 2.5, std::filesystem::path("/x y")), "a1 2.5/x y");
  EXPECT_EQ(StrCat(), "");
}

TEST(Strings, QuotedEscapesAndCuts) {
  EXPECT_EQ(Quoted("a b"), "'a b'");
  EXPECT_EQ(Quoted(std::string_view("\0\n\x7f", 3)), "'\\x00\\x0a\\x7f'");
  EXPECT_EQ(Quoted(std::string(200, 'x')), "'" + std::string(200, 'x') + "'");
  EXPECT_EQ(Quoted(std::string(201, 'x')), "'" + std::string(200, 'x') + "...'");
}

TEST(Strings, ShortenedNeverCutsACharacter) {
  EXPECT_EQ(Shortened("abc", 3), "abc");
  EXPECT_EQ(Shortened("abcd", 3), "abc...");
  EXPECT_EQ(Shortened("a\xc3\xa9z", 2), "a...");
  EXPECT_EQ(Shortened("a\xc3\xa9z", 3), "a\xc3\xa9...");
  EXPECT_EQ(Shortened("\x80\x80\x80", 1), "...");
}

TEST(Strings, JoinAndSplit) {
  EXPECT_EQ(Join({}), "");
  EXPECT_EQ(Join({"a"}), "a");
  EXPECT_EQ(Join({"a", "", "c"}, "|"), "a||c");
  EXPECT_EQ(Split("", ','), Names{""});
  EXPECT_EQ(Split("a,,c,", ','), (Names{"a", "", "c", ""}));
}

TEST(Strings, TrimAndReplace) {
  EXPECT_EQ(Trim(" \t\r\n a b \v\f"), "a b");
  EXPECT_EQ(Trim("  "), "");
  EXPECT_EQ(ReplaceAll("aaa", "a", "aa"), "aaaaaa");
  EXPECT_EQ(ReplaceAll("abab", "ab", ""), "");
  EXPECT_EQ(ReplaceAll("abc", "", "x"), "abc");
}

TEST(Strings, FormatsNumbersForPeople) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1.00 KB");
  EXPECT_EQ(FormatBytes(34'560), "34.6 KB");
  EXPECT_EQ(FormatBytes(512'000'000), "512 MB");
  EXPECT_EQ(FormatBytes(~uint64_t{0}), "18446744 TB");
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1'234'567), "1,234,567");
  EXPECT_EQ(FormatFixed(2.5, 2), "2.50");
  EXPECT_EQ(FormatFixed(-0.126, 2), "-0.13");
  EXPECT_EQ(FormatShape(std::vector<int>{}), "[]");
  EXPECT_EQ(FormatShape(std::vector<uint64_t>{2, 3}), "[2, 3]");
}

TEST(Strings, FormatsLargestDoubles) {
  EXPECT_EQ(FormatFixed(1e100, 1).size(), 103u);  // 101 digits, the point, one more
}

TEST(Strings, FormatsDurations) {
  EXPECT_EQ(FormatDuration(2e-6), "2 us");
  EXPECT_EQ(FormatDuration(0.85), "850 ms");
  EXPECT_EQ(FormatDuration(12.34), "12.3 s");
  EXPECT_EQ(FormatDuration(245), "4 min 05 s");
  EXPECT_EQ(FormatDuration(3600 * 26 + 60 * 7), "26 h 07 min");
}

TEST(Strings, NearestNameIsATypoOrNothing) {
  const Names known = {"record", "split", "route-train"};
  EXPECT_EQ(NearestName("spilt", known), "split");
  EXPECT_EQ(NearestName("recrod", known), "record");
  EXPECT_EQ(NearestName("zzzzzz", known), "");
  EXPECT_EQ(NearestName("split", {}), "");
  EXPECT_EQ(NearestName(std::string(100'000, 'x'), known), "");
  EXPECT_EQ(DidYouMean("splt", known), " (did you mean 'split'?)");
  EXPECT_EQ(DidYouMean("zzzzzz", known), "");
}

TEST(Strings, Utf8IsCheckedStrictly) {
  for (std::string_view good : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsValidUtf8(good)) << good;
  }
  for (std::string_view bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe2\x82",
        "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    EXPECT_FALSE(IsValidUtf8(bad)) << bad;
  }
}

TEST(Strings, SystemMessagesAreTheSystems) {
  EXPECT_EQ(SystemMessage(ENOENT), "No such file or directory");
}

}  // namespace
}  // namespace moefy
