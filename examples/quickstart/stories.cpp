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
constexpr std::array<const char*, 2> kTook = {" took the ", " picked up the "};

constexpr size_t kNobody = kPeople.size();
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
    holder_.fill(kNobody);
  }

  void TellSentence() {
    const size_t person = OneOf(people_);
    const std::optional<size_t> held = HeldBy(person);
    const size_t thing = held ? *held : OneOf(things_);  // one thing at a time
    const size_t place = random_.Below(kPlaces.size());
    const size_t another = (place + 1 + random_.Below(kPlaces.size() - 1)) % kPlaces.size();
    const std::string name = kPeople[person], the_thing = kThings[thing];
    const int percent = static_cast<int>(random_.Below(100));
    if (!held && (holder_[thing] != kNobody || percent < 20)) {
      Say(name + random_.Pick(kWent), place);  // what somebody else holds cannot be touched
    } else if (held && percent < 60) {
      Say(name + random_.Pick(kWent), place);
      place_[thing] = place;
    } else if (percent < 50) {
      Say(name + random_.Pick(kPut) + the_thing + " in the ", place);
      Put(thing, place);
    } else if (percent < 65) {
      Say(name + random_.Pick(kCarried) + the_thing + " to the ", place);
      Put(thing, place);
    } else if (held || percent < 75) {
      Say(name + " wanted to leave the " + the_thing + " in the ", another);
      Say(" but put it in the ", place);
      Put(thing, place);
    } else if (percent < 85) {
      Say(name + random_.Pick(kTook) + the_thing);
      Say(std::string(" and") + random_.Pick(kWent), place);
      Take(thing, person, place);
    } else {
      Say(name + random_.Pick(kTook) + the_thing);
      Take(thing, person, std::nullopt);  // nobody has said where this is
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
      const size_t place = part.place == answer      ? place_idx
                           : part.place == place_idx ? answer
                                                     : part.place;
      story.text += kPlaces[place];
    }
    story.text.pop_back();  // the space after the last sentence
    story.question = std::string("where is the ") + kThings[thing] + " ?";
    return story;
  }

 private:
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

  std::optional<size_t> HeldBy(size_t person) const {
    const auto found = std::find(holder_.begin(), holder_.end(), person);
    if (found == holder_.end()) return std::nullopt;
    return static_cast<size_t>(found - holder_.begin());
  }
  void Put(size_t thing, size_t place) {
    place_[thing] = place;
    holder_[thing] = kNobody;
  }
  void Take(size_t thing, size_t person, std::optional<size_t> place) {
    place_[thing] = place;
    holder_[thing] = person;
  }
  void Say(const std::string& text, size_t place = kNowhere) { parts_.push_back({text, place}); }

  Random& random_;
  std::vector<size_t> people_, things_;
  std::array<std::optional<size_t>, kThings.size()> place_;
  std::array<size_t, kThings.size()> holder_;
  std::vector<Part> parts_;
};

}  // namespace

Story MakeStory(Random& random, size_t place_idx) {
  for (;;) {
    Narrator narrator(random);
    const size_t num_sentences = 2 + random.Below(5);
    for (size_t i = 0; i < num_sentences; ++i) narrator.TellSentence();
    if (const auto thing = narrator.ThingToAskFor()) return narrator.Finish(*thing, place_idx);
  }
}

}  // namespace moefy::example
