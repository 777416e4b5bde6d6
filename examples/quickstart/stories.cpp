#include "stories.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

namespace moefy::example {
namespace {

constexpr std::array<const char*, 8> kPeople = {"mary",  "john",  "anna",  "peter",
                                                "laura", "david", "susan", "tom"};
constexpr std::array<const char*, 8> kThings = {"apple", "ball", "book", "key",
                                                "lamp",  "cup",  "hat",  "letter"};
constexpr std::array<const char*, 3> kPut = {" put the ", " left the ", " hid the "};
constexpr std::array<const char*, 3> kCarried = {" carried the ", " moved the ", " brought the "};
constexpr std::array<const char*, 3> kWent = {" went to the ", " walked to the ", " ran to the "};

constexpr size_t kNowhere = kPlaces.size();

// The world while a story is told. Places are indices until the end, so that the story can be
// turned into one with the answer that is wanted by exchanging two places.
class Narrator {
 public:
  explicit Narrator(Random& random) : random_(random) {
    std::vector<size_t> people = Below(kPeople.size()), things = Below(kThings.size());
    random_.Shuffle(people);
    random_.Shuffle(things);
    people_.assign(people.begin(), people.begin() + 2 + static_cast<long>(random_.Below(2)));
    things_.assign(things.begin(), things.begin() + 2 + static_cast<long>(random_.Below(2)));
  }

  void TellSentence() {
    const std::string name = kPeople[OneOf(people_)];
    const size_t thing = OneOf(things_);
    const size_t place = random_.Below(kPlaces.size());
    const std::string the_thing = kThings[thing];
    const auto percent = random_.Below(100);
    if (percent < 25) {
      Say(name + random_.Pick(kWent), place);
      told_of_.push_back(kNothing);
    } else if (percent < 65) {
      Say(name + random_.Pick(kPut) + the_thing + " in the ", place);
      Place(thing, place);
    } else {
      Say(name + random_.Pick(kCarried) + the_thing + " to the ", place);
      Place(thing, place);
    }
    Say(" . ");
  }

  // A thing whose place is known, if there is one.
  std::optional<size_t> ThingToAskFor() {
    std::vector<size_t> known;
    for (const size_t thing : things_) {
      if (place_[thing]) known.push_back(thing);
    }
    if (known.empty()) return std::nullopt;
    return OneOf(known);
  }

  Story Finish(size_t thing, size_t place_idx) const {
    const size_t answer = *place_[thing];
    Story story;
    for (const Part& part : parts_) {
      story.text += part.text;
      if (part.place == kNowhere) continue;
      story.text += kPlaces[Exchanged(part.place, answer, place_idx)];
    }
    story.text.pop_back();  // the space after the last sentence
    for (const size_t other : things_) {
      if (!place_[other]) continue;
      story.hints.push_back(
          {kThings[other], kPlaces[Exchanged(*place_[other], answer, place_idx)]});
    }
    for (size_t i = 0; i < told_of_.size(); ++i) {
      const bool overruled = std::find(told_of_.begin() + static_cast<long>(i) + 1, told_of_.end(),
                                       told_of_[i]) != told_of_.end();
      story.standings.push_back(told_of_[i] == kNothing ? Standing::kSaysNothing
                                : overruled             ? Standing::kOverruled
                                                        : Standing::kHolds);
    }
    story.question = std::string("where is the ") + kThings[thing] + " ?";
    return story;
  }

 private:
  static size_t Exchanged(size_t place, size_t a, size_t b) {
    return place == a ? b : place == b ? a : place;
  }

  struct Part {
    std::string text;
    size_t place;  // told after it, unless kNowhere
  };

  static std::vector<size_t> Below(size_t limit) {
    std::vector<size_t> all(limit);
    std::iota(all.begin(), all.end(), size_t{0});
    return all;
  }
  size_t OneOf(const std::vector<size_t>& choices) {
    return choices[random_.Below(choices.size())];
  }

  void Say(const std::string& text, size_t place = kNowhere) { parts_.push_back({text, place}); }

  void Place(size_t thing, size_t place) {
    place_[thing] = place;
    told_of_.push_back(thing);
  }

  static constexpr size_t kNothing = kThings.size();

  Random& random_;
  std::vector<size_t> people_, things_;
  std::vector<size_t> told_of_;  // the thing of each sentence, or kNothing
  std::array<std::optional<size_t>, kThings.size()> place_;
  std::vector<Part> parts_;
};

}  // namespace

Story MakeStory(Random& random, size_t place_idx) {
  for (;;) {
    Narrator narrator(random);
    const size_t num_sentences = 1 + random.Below(5);
    for (size_t i = 0; i < num_sentences; ++i) narrator.TellSentence();
    if (const auto thing = narrator.ThingToAskFor()) return narrator.Finish(*thing, place_idx);
  }
}

}  // namespace moefy::example
