#include "task/answers.h"

#include <gtest/gtest.h>

namespace moefy::task {
namespace {

// Worked out by hand with the rules of SQuAD's evaluate-v2.0.py.
TEST(Squad, NormalizesAnswers) {
  EXPECT_EQ(NormalizeAnswer("The  Cat's (an old) HAT!"), "cats old hat");
  EXPECT_EQ(NormalizeAnswer("A.N. Other"), "other");  // punctuation goes first, then articles
  EXPECT_EQ(NormalizeAnswer("a\tthe\nAn"), "");
  EXPECT_EQ(NormalizeAnswer("theory another"), "theory another");
  EXPECT_EQ(NormalizeAnswer("“the” ÉTÉ—a"),
            "“ ” été—");  // other punctuation stays, and bounds words
  EXPECT_EQ(NormalizeAnswer("12,000$"), "12000");
  EXPECT_EQ(NormalizeAnswer("the_x the\u00A0cat"), "thex cat");
}

TEST(Squad, ExactMatch) {
  EXPECT_EQ(SquadExactMatch("the Eiffel tower.", {"Eiffel Tower"}), 1);
  EXPECT_EQ(SquadExactMatch("Eiffel", {"Eiffel Tower"}), 0);
  EXPECT_EQ(SquadExactMatch("Paris", {"London", "paris"}), 1);  // any of them
  EXPECT_EQ(SquadExactMatch("", {}), 1);                        // no answer
  EXPECT_EQ(SquadExactMatch("Paris", {}), 0);
  EXPECT_EQ(SquadExactMatch("", {"Paris"}), 0);
}

TEST(Squad, F1) {
  EXPECT_EQ(SquadF1("the cat sat", {"cat sat"}), 1);
  EXPECT_DOUBLE_EQ(SquadF1("cat sat down", {"cat"}), 0.5);  // precision 1/3, recall 1
  EXPECT_DOUBLE_EQ(SquadF1("cat cat", {"cat dog"}), 0.5);  // a word counts as often as both have it
  EXPECT_DOUBLE_EQ(SquadF1("cat", {"dog", "cat dog"}), 2.0 / 3);
  EXPECT_EQ(SquadF1("dog", {"cat"}), 0);
  EXPECT_EQ(SquadF1("", {}), 1);
  EXPECT_EQ(SquadF1("the", {}), 1);  // nothing is left of it
  EXPECT_EQ(SquadF1("cat", {}), 0);
  EXPECT_EQ(SquadF1("", {"cat"}), 0);
}

TEST(TextExactMatch, IsStrictInside) {
  EXPECT_EQ(TextExactMatch(" ga\n", {"ga"}), 1);
  EXPECT_EQ(TextExactMatch("Ga", {"ga"}), 0);
  EXPECT_EQ(TextExactMatch("g a", {"ga", "g a"}), 1);
}

TEST(RougeL, FollowsTheLongestCommonSubsequence) {
  EXPECT_EQ(RougeL("The cat sat.", {"the CAT sat"}), 1);
  // Variations on Lin's example: three of four words in order, and two.
  EXPECT_DOUBLE_EQ(RougeL("police kill the gunman", {"police killed the gunman"}), 0.75);
  EXPECT_DOUBLE_EQ(RougeL("the gunman kill police", {"police killed the gunman"}), 0.5);
  EXPECT_DOUBLE_EQ(RougeL("a b", {"x", "a b c d"}), 2.0 / 3);
  EXPECT_EQ(RougeL("", {"a"}), 0);
  EXPECT_EQ(RougeL("!?", {"!?"}), 0);
}

TEST(CharacterErrors, CountsEdits) {
  const auto count = [](const char* prediction, const std::vector<std::string>& answers) {
    const CharacterErrors errors = CountCharacterErrors(prediction, answers);
    return std::pair<int64_t, int64_t>(errors.edits, errors.length);
  };
  using Pair = std::pair<int64_t, int64_t>;
  EXPECT_EQ(count("kitten", {"sitting"}), Pair(3, 7));
  EXPECT_EQ(count("", {"ab"}), Pair(2, 2));
  EXPECT_EQ(count("ab", {""}), Pair(2, 0));
  EXPECT_EQ(count("né", {"nè"}), Pair(1, 2));  // characters, not bytes
  EXPECT_EQ(count("abc", {"xyz", "abd"}), Pair(1, 3));
}

}  // namespace
}  // namespace moefy::task
