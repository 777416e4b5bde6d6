#include "sentiment.h"

#include <array>
#include <initializer_list>
#include <optional>

namespace moefy::example {
namespace {

using Words = std::array<const char*, 12>;

constexpr std::array<const char*, 14> kAspects = {"plot",  "acting", "ending", "music", "dialogue",
                                                  "story", "cast",   "humor",  "film",  "finale",
                                                  "score", "script", "hero",   "camera"};
constexpr Words kPraise = {"good",   "great",     "wonderful", "funny",  "moving", "clever",
                           "lovely", "brilliant", "charming",  "superb", "fresh",  "gripping"};
constexpr Words kBlame = {"bad",  "awful",    "dull",  "boring", "clumsy",  "silly",
                          "weak", "dreadful", "stale", "ugly",   "tedious", "flat"};
constexpr std::array<const char*, 4> kLikedBefore = {"loved", "enjoyed", "liked", "admired"};
constexpr std::array<const char*, 4> kLike = {"love", "enjoy", "like", "admire"};
constexpr std::array<const char*, 4> kDislikedBefore = {"hated", "disliked", "regretted",
                                                        "detested"};
constexpr std::array<const char*, 4> kDislike = {"hate", "dislike", "regret", "detest"};
constexpr std::array<const char*, 5> kViewers = {"i", "we", "they", "the critics", "my friends"};
constexpr std::array<const char*, 3> kNegations = {"not", "never", "hardly"};
constexpr std::array<const char*, 5> kIntensifiers = {"very ", "really ", "so ", "quite ",
                                                      "truly "};

// `plain` ones stand after a negation, where "very" and its like would blur the meaning.
std::string Adjective(Random& random, bool praise, bool plain) {
  const std::string word = random.Pick(praise ? kPraise : kBlame);
  return !plain && random.Chance(30) ? random.Pick(kIntensifiers) + word : word;
}

// "the plot was hardly dull": what was said of an aspect, turned round `num_negations` times.
std::string Judgement(Random& random, const std::string& aspect, bool positive, int num_negations) {
  const std::string adjective =
      Adjective(random, positive == (num_negations % 2 == 0), num_negations > 0);
  const std::string negation = random.Pick(kNegations);
  switch (num_negations) {
    case 0:
      return aspect + " was " + adjective;
    case 1:
      switch (random.Below(4)) {
        case 0:
          return "nothing about " + aspect + " was " + adjective;
        case 1:
          return "nobody found " + aspect + " " + adjective;
        case 2:
          return aspect + " was far from " + adjective;
        default:
          return aspect + " was " + negation + " " + adjective;
      }
    default:
      switch (random.Below(3)) {
        case 0:
          return "nobody would say that " + aspect + " was " + negation + " " + adjective;
        case 1:
          return "nothing about " + aspect + " was far from " + adjective;
        default:
          return "it is not true that " + aspect + " was " + negation + " " + adjective;
      }
  }
}

// "we did not enjoy the ending": what somebody felt, turned round `num_negations` times.
std::string Feeling(Random& random, const std::string& aspect, bool positive, int num_negations) {
  const bool liking = positive == (num_negations % 2 == 0);
  const std::string viewer = random.Pick(kViewers);
  const std::string before = random.Pick(liking ? kLikedBefore : kDislikedBefore);
  const std::string plain = random.Pick(liking ? kLike : kDislike);
  switch (num_negations) {
    case 0:
      return viewer + (random.Chance(30) ? " really " : " ") + before + " " + aspect;
    case 1:
      switch (random.Below(4)) {
        case 0:
          return "nobody " + before + " " + aspect;
        case 1:
          return viewer + " never " + before + " " + aspect;
        case 2:
          return viewer + " hardly " + before + " " + aspect;
        default:
          return viewer + " did not " + plain + " " + aspect;
      }
    default:
      return random.Chance(50) ? "it is not true that " + viewer + " never " + before + " " + aspect
                               : "nobody did not " + plain + " " + aspect;
  }
}

struct Clause {
  std::string text;
  std::optional<Hint> hint;  // none of an "it"
};

Clause MakeClause(Random& random, bool positive) {
  const auto percent = random.Below(100);
  const int num_negations = percent < 55 ? 0 : percent < 96 ? 1 : 2;
  const bool named = !random.Chance(12);
  const std::string word = random.Pick(kAspects);
  const std::string aspect = named ? "the " + word : "it";
  Clause clause;
  clause.text = random.Chance(65) ? Judgement(random, aspect, positive, num_negations)
                                  : Feeling(random, aspect, positive, num_negations);
  if (named) clause.hint = {word, positive ? "positive" : "negative"};
  return clause;
}

Told Tell(const std::string& text, std::initializer_list<Clause> clauses) {
  Told told{text, {}};
  for (const Clause& clause : clauses) {
    if (clause.hint) told.hints.push_back(*clause.hint);
  }
  // Two clauses about one thing: what is said of it is not one answer.
  if (told.hints.size() == 2 && told.hints[0].about == told.hints[1].about) told.hints.clear();
  return told;
}

}  // namespace

Told MakeSentence(Random& random, bool positive) {
  const Clause decides = MakeClause(random, positive);
  // Drawn always, so that one seed gives sentences that differ only where the form does.
  const Clause agrees = MakeClause(random, positive);
  const Clause other = MakeClause(random, random.Chance(50));
  switch (random.Below(8)) {
    case 0:
    case 1:
      return Tell(decides.text + " .", {decides});
    case 2:
      return Tell(agrees.text + " and " + decides.text + " .", {agrees, decides});
    case 3:
    case 4:
      return Tell(other.text + " but " + decides.text + " .", {other, decides});
    case 5:
      return Tell("although " + other.text + " , " + decides.text + " .", {other, decides});
    case 6:
      return Tell(decides.text + " , although " + other.text + " .", {other, decides});
    default:
      return Tell("overall " + decides.text + " , although " + other.text + " .", {other, decides});
  }
}

}  // namespace moefy::example
