// Figures of how well a text answers. Each compares one prediction with the accepted answers, of
// which the best counts. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::task {

// Normalises by SQuAD's rules (https://rajpurkar.github.io/SQuAD-explorer, evaluate-v2.0.py):
// lowers the case, drops ASCII punctuation and the words "a", "an" and "the", and squeezes white
// space.
std::string NormalizeAnswer(std::string_view text);

// 1 if both are equal once normalised, else 0. If no answer is accepted, "" is the right one.
double SquadExactMatch(std::string_view prediction, const std::vector<std::string>& answers);
// F1 of the words that both share once normalised. If one side has no words: 1 if both have none,
// else 0.
double SquadF1(std::string_view prediction, const std::vector<std::string>& answers);

// 1 if both are equal, white space at their ends aside, else 0.
double TextExactMatch(std::string_view prediction, const std::vector<std::string>& answers);

// F1 of the longest common subsequence of words. Words are runs of ASCII letters and digits in
// lower case, without stemming, as in the Python package rouge_score. Source: Lin 2004,
// https://aclanthology.org/W04-1013.
double RougeL(std::string_view prediction, const std::vector<std::string>& answers);

struct CharacterErrors {
  int64_t edits = 0;   // insertions, deletions and substitutions of code points
  int64_t length = 0;  // code points of the answer
};

// Counts against the answer with the smallest rate. There must be an answer.
CharacterErrors CountCharacterErrors(std::string_view prediction,
                                     const std::vector<std::string>& answers);
}  // namespace moefy::task
