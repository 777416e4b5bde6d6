#include "corpus.h"

#include <set>

#include "moefy/base/strings.h"
#include "sentiment.h"
#include "stories.h"

namespace moefy::example {
namespace {

constexpr uint64_t kSeed = 2;
constexpr size_t kTrainRows = 2000;  // for recording and routers; the trainer draws its own
constexpr size_t kEvalRows = 1000;

// FNV-1a.
uint64_t HashOf(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

Row DrawSentiment(Random& random, size_t label_idx) {
  const Told told = MakeSentence(random, label_idx == 1);
  return {{told.text, label_idx == 1 ? "positive" : "negative"}, told.hints, {}};
}

Row DrawStory(Random& random, size_t label_idx) {
  const Story story = MakeStory(random, label_idx);
  return {{story.text, story.question, kPlaces[label_idx]}, story.hints, story.standings};
}

}  // namespace

const std::vector<Corpus>& Corpora() {
  static const std::vector<Corpus> kCorpora = {
      {"sentiment", {"sentence", "label"}, {"negative", "positive"}, DrawSentiment},
      {"stories", {"story", "question", "place"}, {kPlaces.begin(), kPlaces.end()}, DrawStory},
  };
  return kCorpora;
}

Subset SubsetOf(const std::vector<std::string>& row) {
  // The text alone decides, not the question about it: no story is in both. High bits, for
  // FNV's low ones see only the low bits of the text.
  return (HashOf(row.front()) >> 32) % 8 == 0 ? Subset::kEval : Subset::kTrain;
}

Row DrawRow(const Corpus& corpus, Subset subset, size_t label_idx, Random& random) {
  for (;;) {
    Row row = corpus.draw(random, label_idx);
    if (SubsetOf(row.cells) == subset) return row;
  }
}

std::vector<std::vector<std::string>> MakeRows(const Corpus& corpus, Subset subset, size_t num_rows,
                                               uint64_t seed) {
  Random random(seed);
  std::vector<std::vector<std::string>> rows;
  std::set<std::string> seen;
  while (rows.size() < num_rows) {
    std::vector<std::string> row =
        DrawRow(corpus, subset, rows.size() % corpus.labels.size(), random).cells;
    if (seen.insert(row.front()).second) rows.push_back(std::move(row));
  }
  random.Shuffle(rows);
  return rows;
}

std::string FormatTsv(const Corpus& corpus, const std::vector<std::vector<std::string>>& rows) {
  std::string text = Join(corpus.header, "\t") + "\n";
  for (const auto& row : rows) text += Join(row, "\t") + "\n";
  return text;
}

std::vector<DataFile> MakeDataFiles() {
  std::vector<DataFile> files;
  for (const Corpus& corpus : Corpora()) {
    files.push_back({corpus.name + ".train.tsv",
                     FormatTsv(corpus, MakeRows(corpus, Subset::kTrain, kTrainRows, kSeed))});
    files.push_back({corpus.name + ".eval.tsv",
                     FormatTsv(corpus, MakeRows(corpus, Subset::kEval, kEvalRows, kSeed + 1))});
  }
  return files;
}

}  // namespace moefy::example
