// Short stories of people who carry things about, with a question where one of the things is now.
// Pure function of the random numbers.
#pragma once

#include <array>
#include <string>

#include "random.h"

namespace moefy::example {

// The answers: every place is one word.
inline constexpr std::array<const char*, 8> kPlaces = {"kitchen",  "garden",  "office", "cellar",
                                                       "bathroom", "bedroom", "attic",  "hallway"};

struct Story {
  std::string text;
  std::string question;
};

// A story that leaves the thing asked for in kPlaces[place_idx]. What counts is where it was put
// last; a thing somebody took and did not put down goes where that person goes.
Story MakeStory(Random& random, size_t place_idx);

}  // namespace moefy::example
