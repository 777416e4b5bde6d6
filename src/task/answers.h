// How well a text answers: each figure of one prediction against the accepted answers, the best of
// them counting. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::task {

// SQuAD's rules (https://rajpurkar.github.io/SQuAD-explorer, evaluate-v2.0.py): lower case, without
// ASCII punctuation, without the words "a", "an", "the", white space squeezed.
std::string NormalizeAnswer(std::string_view text);

// 1 or 0: equal once normalised. No accepted answer at all means that "" is the right one.
double SquadExactMatch(std::string_view prediction, const std::vector<std::string>& answers);
// F1 of the words they share once normalised; where one side has no words, 1 if both have none.
double SquadF1(std::string_view prediction, const std::vector<std::string>& answers);

// 1 or 0: equal but for white space at both ends.
double TextExactMatch(std::string_view prediction, const std::vector<std::string>& answers);

// F1 of the longest common subsequence of words: lower case, runs of ASCII letters and digits, no
// stemming, as in the Python package rouge_score. Lin 2004, https://aclanthology.org/W04-1013.
double RougeL(std::string_view prediction, const std::vector<std::string>& answers);

struct CharacterErrors {
  int64_t edits = 0;   // insertions, deletions and substitutions of code points
  int64_t length = 0;  // code points of the answer
};

// Of the answer with the smallest rate. There must be an answer.
CharacterErrors CountCharacterErrors(std::string_view prediction,
                                     const std::vector<std::string>& answers);
}  // namespace moefy::task
