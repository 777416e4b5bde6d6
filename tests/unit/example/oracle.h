// A second opinion on the example's labels: it reads the text as text, by other means than the
// generator wrote it with.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <string>

#include "moefy/base/strings.h"

namespace moefy::example {

using WordList = std::vector<std::string>;

inline WordList Words(const std::string& text) { return Split(text, ' '); }

// The words from after the first `marker` to the next of `stops`; all words without the marker.
inline WordList After(const WordList& words, const std::string& marker,
                      const std::set<std::string>& stops) {
  const auto found = std::find(words.begin(), words.end(), marker);
  const auto begin = found == words.end() ? words.begin() : found + 1;
  return {begin, std::find_if(begin, words.end(),
                              [&](const std::string& word) { return stops.contains(word); })};
}

// +1 for praise, -1 for blame; 0 unless there is exactly one word of either kind.
inline int ClausePolarity(const WordList& clause) {
  static const std::set<std::string> kGood = {
      "good",      "great", "wonderful", "funny",  "moving",  "clever",   "lovely",
      "brilliant", "fresh", "charming",  "superb", "loved",   "gripping", "love",
      "enjoyed",   "enjoy", "liked",     "like",   "admired", "admire"};
  static const std::set<std::string> kBad = {
      "bad",      "awful",   "dull",      "boring", "clumsy",  "silly",   "weak",
      "dreadful", "stale",   "ugly",      "flat",   "tedious", "hated",   "hate",
      "disliked", "dislike", "regretted", "regret", "detest",  "detested"};
  static const std::set<std::string> kTurns = {"not",     "never",  "hardly",
                                               "nothing", "nobody", "far"};
  int sign = 1, num_found = 0;
  for (const std::string& word : clause) {
    if (kTurns.contains(word) || kBad.contains(word)) sign = -sign;
    num_found += kGood.contains(word) || kBad.contains(word);
  }
  return num_found == 1 ? sign : 0;
}

inline std::string SentimentLabel(const std::string& sentence) {
  const WordList words = Words(sentence);
  WordList scope = words;
  if (std::count(words.begin(), words.end(), "overall")) {
    scope = After(words, "overall", {",", "."});
  } else {
    if (words.front() == "although") {
      scope = After(words, ",", {"."});
    } else {
      scope = After(words, "", {",", "."});
    }
    scope = After(scope, "but", {});
  }
  const auto conjunction = std::find(scope.begin(), scope.end(), "and");
  const int polarity = ClausePolarity({scope.begin(), conjunction});
  if (conjunction != scope.end()) {
    EXPECT_EQ(ClausePolarity({conjunction + 1, scope.end()}), polarity) << sentence;
  }
  EXPECT_NE(polarity, 0) << sentence;
  return polarity > 0 ? "positive" : "negative";
}

// Follows every person and thing; "" where nobody can know.
inline std::string StoryLabel(const std::string& story, const std::string& question) {
  static const std::regex kWent("(\\w+) (?:went|walked|ran) to the (\\w+)");
  static const std::regex kPut("(\\w+) (?:put|left|hid) the (\\w+) in the (\\w+)");
  static const std::regex kMoved("(\\w+) (?:carried|moved|brought) the (\\w+) to the (\\w+)");
  static const std::regex kWanted(
      "(\\w+) wanted to leave the (\\w+) in the \\w+ but put it in the (\\w+)");
  static const std::regex kTook("(\\w+) (?:took|picked up) the (\\w+)");
  static const std::regex kTookAlong(
      "(\\w+) (?:took|picked up) the (\\w+) and (?:went|walked|ran) to the (\\w+)");
  static const std::regex kQuestion("where is the (\\w+) \\?");
  std::map<std::string, std::string> place, holder;
  std::string rest = story + " ";
  for (size_t end = rest.find(" . "); end != std::string::npos; end = rest.find(" . ")) {
    const std::string sentence = rest.substr(0, end);
    rest = rest.substr(end + 3);
    std::smatch match;
    const auto is = [&](const std::regex& form) { return std::regex_match(sentence, match, form); };
    if (is(kWent)) {
      for (const auto& [thing, person] : holder) {
        if (person == match[1]) place[thing] = match[2];
      }
    } else if (is(kPut) || is(kMoved) || is(kWanted)) {
      EXPECT_TRUE(holder[match[2]].empty() || holder[match[2]] == match[1]) << story;
      place[match[2]] = match[3];
      holder[match[2]] = "";
    } else if (is(kTookAlong) || is(kTook)) {
      EXPECT_TRUE(holder[match[2]].empty()) << story;
      holder[match[2]] = match[1];
      place[match[2]] = match.size() > 3 ? match[3].str() : "";
    } else {
      ADD_FAILURE() << "not understood: " << sentence;
    }
  }
  EXPECT_EQ(rest, "") << story;
  std::smatch match;
  EXPECT_TRUE(std::regex_match(question, match, kQuestion)) << question;
  return place[match[1]];
}

}  // namespace moefy::example
