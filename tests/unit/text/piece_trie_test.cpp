#include "text/sentencepiece/piece_trie.h"

#include <gtest/gtest.h>

namespace moefy::text {
namespace {

using Found = std::vector<std::pair<size_t, int32_t>>;

Found Prefixes(const PieceTrie& trie, std::string_view text) {
  Found found;
  trie.ForEachPrefix(text, [&](size_t length, int32_t id) { found.emplace_back(length, id); });
  return found;
}

TEST(PieceTrie, FindsEveryPrefixShortestFirst) {
  const PieceTrie trie({{"abc", 7}, {"a", 3}, {"b", 0}, {"ab", 9}, {"\xff", 5}, {"abd", 1}});
  EXPECT_EQ(Prefixes(trie, "abcd"), (Found{{1, 3}, {2, 9}, {3, 7}}));
  EXPECT_EQ(Prefixes(trie, "abd"), (Found{{1, 3}, {2, 9}, {3, 1}}));
  EXPECT_EQ(Prefixes(trie, "b"), (Found{{1, 0}}));
  EXPECT_EQ(Prefixes(trie, "\xff"), (Found{{1, 5}}));
  EXPECT_EQ(Prefixes(trie, "xa"), Found{});
  EXPECT_EQ(Prefixes(trie, ""), Found{});
}

TEST(PieceTrie, EmptyFindsNothing) {
  EXPECT_EQ(Prefixes(PieceTrie(), "a"), Found{});
  EXPECT_EQ(Prefixes(PieceTrie(std::vector<std::pair<std::string_view, int32_t>>{}), "a"), Found{});
}

}  // namespace
}  // namespace moefy::text
