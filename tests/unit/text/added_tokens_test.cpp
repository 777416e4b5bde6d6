#include "text/added_tokens.h"

#include <gtest/gtest.h>

namespace moefy::text {
namespace {

using Texts = std::vector<std::string>;

// The parts' texts, those of tokens marked.
Texts Split(const AddedTokens& tokens, std::string_view text) {
  Texts texts;
  for (const AddedTokens::Part& part : tokens.Split(text)) {
    texts.push_back(part.token ? "token:" + part.text : part.text);
  }
  return texts;
}

TEST(AddedTokens, SplitsAtTheLongest) {
  AddedTokens tokens;
  tokens.Add({.content = "<a>", .id = 1});
  tokens.Add({.content = "<a>b", .id = 2});
  EXPECT_EQ(Split(tokens, "x <a> y<a>b<a>"),
            (Texts{"x ", "token:<a>", " y", "token:<a>b", "token:<a>"}));
  EXPECT_EQ(Split(tokens, ""), Texts{});
  EXPECT_EQ(Split(tokens, "<a"), Texts{"<a"});
  EXPECT_EQ(tokens.FindContent("<a>b")->id, 2);
  EXPECT_EQ(tokens.FindId(3), nullptr);
}

TEST(AddedTokens, StripsAsTold) {
  AddedTokens tokens;
  tokens.Add({.content = "<l>", .id = 1, .strip_left = true});
  tokens.Add({.content = "<r>", .id = 2, .strip_right = true});
  EXPECT_EQ(Split(tokens, "a <l> b <r> \u00a0c"),
            (Texts{"a", "token:<l>", " b ", "token:<r>", "c"}));
  EXPECT_EQ(Split(tokens, " <l><r> "), (Texts{"token:<l>", "token:<r>"}));
}

TEST(AddedTokens, SingleWordsStandApart) {
  AddedTokens tokens;
  tokens.Add({.content = "yes", .id = 1, .single_word = true});
  EXPECT_EQ(Split(tokens, "a yes b"), (Texts{"a ", "token:yes", " b"}));
  EXPECT_EQ(Split(tokens, "yesterday"), Texts{"yesterday"});
  EXPECT_EQ(Split(tokens, "eyes"), Texts{"eyes"});
}

TEST(AddedTokens, TheSameIdIsReplaced) {
  AddedTokens tokens;
  tokens.Add({.content = "<a>", .id = 1});
  tokens.Add({.content = "<b>", .id = 1});
  EXPECT_EQ(tokens.FindContent("<a>"), nullptr);
  EXPECT_EQ(Split(tokens, "<a><b>"), (Texts{"<a>", "token:<b>"}));
}

}  // namespace
}  // namespace moefy::text
