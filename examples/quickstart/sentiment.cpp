#include "sentiment.h"

#include <array>

namespace moefy::example {
namespace {

using Words = std::array<const char*, 12>;

constexpr std::array<const char*, 14> kAspects = {
    "plot",  "acting", "ending", "music", "dialogue", "story", "cast",
    "humor", "film",   "finale", "score", "script",   "hero",  "camera work"};
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

std::string Aspect(Random& random) {
  return random.Chance(12) ? "it" : std::string("the ") + random.Pick(kAspects);
}

// "the plot was hardly dull": what was said of an aspect, turned round `num_negations` times.
std::string Judgement(Random& random, bool positive, int num_negations) {
  const std::string adjective =
      Adjective(random, positive == (num_negations % 2 == 0), num_negations > 0);
  const std::string aspect = Aspect(random);
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
std::string Feeling(Random& random, bool positive, int num_negations) {
  const bool liking = positive == (num_negations % 2 == 0);
  const std::string aspect = Aspect(random);
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

std::string Clause(Random& random, bool positive) {
  const int percent = static_cast<int>(random.Below(100));
  const int num_negations = percent < 45 ? 0 : percent < 85 ? 1 : 2;
  return random.Chance(65) ? Judgement(random, positive, num_negations)
                           : Feeling(random, positive, num_negations);
}

}  // namespace

std::string MakeSentence(Random& random, bool positive) {
  const std::string decides = Clause(random, positive);
  // Drawn always, so that one seed gives sentences that differ only where the form does.
  const std::string agrees = Clause(random, positive);
  const std::string other = Clause(random, random.Chance(50));
  const std::string third = Clause(random, random.Chance(50));
  switch (random.Below(9)) {
    case 0:
      return decides + " .";
    case 1:
      return agrees + " and " + decides + " .";
    case 2:
    case 3:
      return other + " but " + decides + " .";
    case 4:
      return "although " + other + " , " + decides + " .";
    case 5:
      return decides + " , although " + other + " .";
    case 6:
      return other + " but " + third + " , and overall " + decides + " .";
    case 7:
      return "although " + other + " , " + third + " , but overall " + decides + " .";
    default:
      return "overall " + decides + " , although " + other + " .";
  }
}

}  // namespace moefy::example
