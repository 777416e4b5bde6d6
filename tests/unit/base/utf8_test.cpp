#include "base/utf8.h"

#include <gtest/gtest.h>

#include "moefy/base/strings.h"
#include "support/expect_error.h"

namespace moefy {
namespace {

TEST(Utf8, SaysNothingOfWhatIsValid) {
  for (std::string_view good : {"", "plain\ntext\n", "caf\xc3\xa9", "\xf0\x9f\x8d\xb0\n"}) {
    EXPECT_EQ(FindInvalidUtf8(good), good.size());
    EXPECT_EQ(DescribeInvalidUtf8(good), "");
    EXPECT_EQ(DescribeInvalidUtf8InLine(good), "");
    RequireUtf8(good);
    RequireUtf8InLine(good);
  }
}

TEST(Utf8, NamesLineAndByte) {
  struct Bad {
    std::string_view text;
    const char* where;
    const char* in_line;
  };
  for (const Bad& bad : {Bad{"\x80", "line 1, byte 1 is 0x80", "byte 1 is 0x80"},
                         Bad{"one\ncaf\xe9\n", "line 2, byte 4 is 0xe9", "byte 8 is 0xe9"},
                         Bad{"\n\n\xc3\xa9\xc0\x80", "line 3, byte 3 is 0xc0", "byte 5 is 0xc0"},
                         Bad{"cut \xe2\x82", "line 1, byte 5 is 0xe2", "byte 5 is 0xe2"}}) {
    EXPECT_TRUE(DescribeInvalidUtf8(bad.text).starts_with(StrCat(bad.where, ", not valid UTF-8")))
        << DescribeInvalidUtf8(bad.text);
    tests::ExpectError(ErrorKind::kInput, {bad.where, "Windows-1252"},
                       [&] { RequireUtf8(bad.text); });
    const std::string in_line = DescribeInvalidUtf8InLine(bad.text);
    EXPECT_TRUE(in_line.starts_with(StrCat(bad.in_line, ", not valid UTF-8"))) << in_line;
    tests::ExpectError(ErrorKind::kInput, {bad.in_line}, [&] { RequireUtf8InLine(bad.text); });
  }
}

TEST(Utf8, KnowsTheMarkOfUtf16) {
  for (std::string_view text :
       {std::string_view("\xff\xfeh\0i\0", 6), std::string_view("\xfe\xff\0h\0i", 6)}) {
    tests::ExpectError(ErrorKind::kInput, {"line 1, byte 1", "iconv -f UTF-16 -t UTF-8"},
                       [&] { RequireUtf8(text); });
  }
}

}  // namespace
}  // namespace moefy
