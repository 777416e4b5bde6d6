// Short stories of people who put and carry things about, with a question where one of the things
// is now. Pure function of the random numbers.
#pragma once

#include <array>
#include <string>

#include "base/random.h"
#include "hint.h"

namespace moefy::example {

// The answers: every place is one word.
inline constexpr std::array<const char*, 8> kPlaces = {"kitchen",  "garden",  "office", "cellar",
                                                       "bathroom", "bedroom", "attic",  "hallway"};

struct Story {
  std::string text;
  std::string question;
  std::vector<Hint> hints;          // where each thing is in the end
  std::vector<Standing> standings;  // of each sentence, and so of each place in the text
};

// A story of one to five sentences that leaves the thing asked for in kPlaces[place_idx]. What
// counts is where it was put or carried last; people also walk about without it.
Story MakeStory(Random& random, size_t place_idx);

}  // namespace moefy::example
