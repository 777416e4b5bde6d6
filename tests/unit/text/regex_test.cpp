#include "text/regex.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "text/byte_level/byte_level.h"

namespace moefy::text {
namespace {

using Pieces = std::vector<std::string>;

TEST(Regex, SplitsCoverTheText) {
  const std::string text = "a1 日本22é";
  Pieces matched, between;
  size_t end = 0;
  for (const Regex::Span& span : Regex(R"(\p{N}+)").Split(text)) {
    EXPECT_EQ(span.begin, end);
    end = span.end;
    (span.matched ? matched : between).push_back(text.substr(span.begin, span.end - span.begin));
  }
  EXPECT_EQ(end, text.size());
  EXPECT_EQ(matched, (Pieces{"1", "22"}));
  EXPECT_EQ(between, (Pieces{"a", " 日本", "é"}));
  EXPECT_TRUE(Regex("a").Split("").empty());
  EXPECT_EQ(Regex("x*").Split("ab").size(), 2u);  // empty matches cut, but are no parts
}

TEST(Regex, Gpt2Words) {
  const Regex gpt2(kGpt2Pattern);
  EXPECT_EQ(
      gpt2.FindAll("He'll go  to No.12,  ok?\n\n"),
      (Pieces{"He", "'ll", " go", " ", " to", " No", ".", "12", ",", " ", " ok", "?", "\n\n"}));
  EXPECT_EQ(gpt2.FindAll("日本 é\xF0\x9F\x98\x80"), (Pieces{"日本", " é", "\xF0\x9F\x98\x80"}));
}

TEST(Regex, Qwen2Words) {
  const Regex qwen2(kQwen2Pattern);
  EXPECT_EQ(qwen2.FindAll("I'LL pay 123\n\n x"),
            (Pieces{"I", "'LL", " pay", " ", "1", "2", "3", "\n\n", " x"}));
}

TEST(Regex, RefusesBadPatterns) {
  tests::ExpectError(ErrorKind::kInput, {"'(a'", "PAREN"}, [] { Regex("(a"); });
  tests::ExpectError(ErrorKind::kInput, {"at most 65536"}, [] { Regex(std::string(70000, 'a')); });
}

TEST(Regex, StopsEndlessBacktracking) {
  const Regex evil("(a+)+$");
  EXPECT_EQ(evil.FindAll("aaaa"), Pieces{"aaaa"});
  tests::ExpectError(ErrorKind::kInput, {"'(a+)+$'", "backtracks too much"},
                     [&] { evil.Split(std::string(5000, 'a') + "!"); });
}

TEST(Regex, LongTexts) {
  const std::string word(1 << 20, 'a');
  EXPECT_EQ(Regex(kGpt2Pattern).FindAll(word).size(), 1u);
  EXPECT_EQ(Regex(kQwen2Pattern).FindAll(std::string(1 << 20, ' ')).size(), 1u);
}

}  // namespace
}  // namespace moefy::text
