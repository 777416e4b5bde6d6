#include "task/translation_scores.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <unordered_map>

#include "moefy/base/error.h"
#include "moefy/base/strings.h"
#include "text/unicode.h"
#include "text/words.h"

namespace moefy::task {
namespace {

using Words = std::vector<std::string>;
using Grams = std::unordered_map<std::string, int64_t>;  // how often each occurs

// A corpus's score by its counts, and the score's derivative by each of them.
struct Score {
  double value = 0;
  std::vector<double> gradient;
};

Figure FigureOfCounts(const std::vector<std::vector<double>>& sentences,
                      const std::function<Score(const std::vector<double>&)>& score_of) {
  MOEFY_CHECK(!sentences.empty());
  std::vector<double> sums(sentences.front().size(), 0.0);
  for (const auto& counts : sentences) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += counts[i];
  }
  const Score score = score_of(sums);
  const auto num = static_cast<double>(sentences.size());
  Figure figure{score.value, {}};
  for (const auto& counts : sentences) {
    double influence = 0;
    for (size_t i = 0; i < sums.size(); ++i) {
      influence += score.gradient[i] * (num * counts[i] - sums[i]);
    }
    figure.influences.push_back(influence);
  }
  return figure;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsStop(char c) { return c == '.' || c == ','; }
// ASCII punctuation that is a word of its own wherever it stands.
bool StandsAlone(char c) {
  return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
         (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

// Puts spaces into every pair of neighbours that fits, from left to right; a pair's second
// character is not looked at again.
std::string SpacePairs(const std::string& text, const std::function<bool(char, char)>& fits,
                       bool before, bool between, bool after) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !fits(text[i], text[i + 1])) {
      out += text[i];
      continue;
    }
    out += before ? " " : "";
    out += text[i];
    out += between ? " " : "";
    out += text[++i];
    out += after ? " " : "";
  }
  return out;
}

// All runs of `order` of the pieces.
Grams CountGrams(const Words& pieces, size_t order, std::string_view separator) {
  Grams grams;
  for (size_t first = 0; first + order <= pieces.size(); ++first) {
    std::string gram = pieces[first];
    for (size_t i = 1; i < order; ++i) gram += std::string(separator) + pieces[first + i];
    ++grams[gram];
  }
  return grams;
}

int64_t Total(const Grams& grams) {
  int64_t total = 0;
  for (const auto& [gram, count] : grams) total += count;
  return total;
}

int64_t Matches(const Grams& grams, const Grams& wanted) {
  int64_t matches = 0;
  for (const auto& [gram, count] : grams) {
    const auto found = wanted.find(gram);
    if (found != wanted.end()) matches += std::min(count, found->second);
  }
  return matches;
}

// BLEU's counts: words of the translations, words of the references, and for each order the runs
// that match and all runs.
constexpr size_t kWordOrders = 4;
constexpr size_t kMatched = 2, kRuns = kMatched + kWordOrders, kBleuCounts = kRuns + kWordOrders;

std::vector<double> BleuCounts(const Translation& translation) {
  const Words words = Tokenize13a(translation.text);
  std::vector<Words> references;
  for (const std::string& text : translation.references) references.push_back(Tokenize13a(text));
  const auto distance = [&](const Words& reference) {
    return std::abs(static_cast<int64_t>(reference.size()) - static_cast<int64_t>(words.size()));
  };
  const auto nearest = std::ranges::min_element(references, [&](const Words& a, const Words& b) {
    return std::pair(distance(a), a.size()) < std::pair(distance(b), b.size());
  });
  std::vector<double> counts(kBleuCounts);
  counts[0] = static_cast<double>(words.size());
  counts[1] = static_cast<double>(nearest->size());
  for (size_t n = 0; n < kWordOrders; ++n) {
    Grams wanted;  // a run counts as often as in the reference that has most of it
    for (const Words& reference : references) {
      for (const auto& [gram, count] : CountGrams(reference, n + 1, " ")) {
        int64_t& most = wanted[gram];
        most = std::max(most, count);
      }
    }
    const Grams grams = CountGrams(words, n + 1, " ");
    counts[kMatched + n] = static_cast<double>(Matches(grams, wanted));
    counts[kRuns + n] = static_cast<double>(Total(grams));
  }
  return counts;
}

Score BleuOfCounts(const std::vector<double>& counts) {
  Score score{0, std::vector<double>(kBleuCounts, 0.0)};
  std::vector<double> of_log(kBleuCounts, 0.0);  // the logarithm's derivatives
  double log_precisions = 0, smoothing = 1;
  if (counts[kMatched] == 0) return score;  // no word matches, so nothing does
  for (size_t n = 0; n < kWordOrders; ++n) {
    const double matched = counts[kMatched + n], runs = counts[kRuns + n];
    if (runs == 0) return score;  // all translations are shorter
    if (matched == 0) smoothing *= 2;
    log_precisions += std::log((matched == 0 ? 1 / smoothing : matched) / runs) / kWordOrders;
    if (matched > 0) of_log[kMatched + n] = 1 / (matched * kWordOrders);
    of_log[kRuns + n] = -1 / (runs * kWordOrders);
  }
  const double length = counts[0], wanted = counts[1];
  double log_brevity = 0;
  if (length < wanted) {
    log_brevity = 1 - wanted / length;
    of_log[0] = wanted / (length * length);
    of_log[1] = -1 / length;
  }
  score.value = 100 * std::exp(log_brevity + log_precisions);
  for (size_t i = 0; i < kBleuCounts; ++i) score.gradient[i] = score.value * of_log[i];
  return score;
}

// chrF's counts: for each order the runs of the translation, of the reference, and those of both.
constexpr size_t kCharacterOrders = 6;

Score ChrFOfCounts(const std::vector<double>& counts) {
  constexpr double kBetaSquared = 4;
  double precision = 0, recall = 0, orders = 0;
  for (size_t n = 0; n < kCharacterOrders; ++n) {
    const double runs = counts[3 * n], wanted = counts[3 * n + 1], matched = counts[3 * n + 2];
    if (runs == 0 || wanted == 0) continue;
    precision += matched / runs;
    recall += matched / wanted;
    ++orders;
  }
  Score score{0, std::vector<double>(counts.size(), 0.0)};
  if (precision + recall == 0) return score;
  precision /= orders;
  recall /= orders;
  const double below = kBetaSquared * precision + recall;
  const double scale = 100 * (1 + kBetaSquared) / (below * below);
  score.value = 100 * (1 + kBetaSquared) * precision * recall / below;
  const double by_precision = scale * recall * recall;
  const double by_recall = scale * kBetaSquared * precision * precision;
  for (size_t n = 0; n < kCharacterOrders; ++n) {
    const double runs = counts[3 * n], wanted = counts[3 * n + 1], matched = counts[3 * n + 2];
    if (runs == 0 || wanted == 0) continue;
    score.gradient[3 * n] = -by_precision * matched / (runs * runs) / orders;
    score.gradient[3 * n + 1] = -by_recall * matched / (wanted * wanted) / orders;
    score.gradient[3 * n + 2] = (by_precision / runs + by_recall / wanted) / orders;
  }
  return score;
}

std::array<Grams, kCharacterOrders> CharacterGrams(std::string_view text) {
  const Words characters = text::SplitCharacters(Join(text::SplitWords(text), ""));
  std::array<Grams, kCharacterOrders> grams;
  for (size_t n = 0; n < kCharacterOrders; ++n) grams[n] = CountGrams(characters, n + 1, "");
  return grams;
}

std::vector<double> ChrFCounts(const Translation& translation) {
  const auto grams = CharacterGrams(translation.text);
  std::vector<double> best;
  double best_score = -1;
  for (const std::string& reference : translation.references) {
    const auto wanted = CharacterGrams(reference);
    std::vector<double> counts;
    for (size_t n = 0; n < kCharacterOrders; ++n) {
      // An order that the reference is too short for does not count.
      counts.push_back(wanted[n].empty() ? 0 : static_cast<double>(Total(grams[n])));
      counts.push_back(static_cast<double>(Total(wanted[n])));
      counts.push_back(static_cast<double>(Matches(grams[n], wanted[n])));
    }
    const double score = ChrFOfCounts(counts).value;
    if (score <= best_score) continue;
    best_score = score;
    best = std::move(counts);
  }
  return best;
}

template <std::vector<double> (*counts_of)(const Translation&)>
Figure ScoreCorpus(const std::vector<Translation>& translations,
                   Score (*score_of)(const std::vector<double>&)) {
  std::vector<std::vector<double>> counts;
  for (const Translation& translation : translations) {
    MOEFY_CHECK(!translation.references.empty());
    counts.push_back(counts_of(translation));
  }
  return FigureOfCounts(counts, score_of);
}

}  // namespace

std::vector<std::string> Tokenize13a(std::string_view given) {
  std::string text = text::StripRight(text::RepairUtf8(given));
  text = ReplaceAll(text, "<skipped>", "");
  text = ReplaceAll(text, "-\n", "");
  text = ReplaceAll(text, "\n", " ");
  text = ReplaceAll(text, "&quot;", "\"");
  text = ReplaceAll(text, "&amp;", "&");
  text = ReplaceAll(text, "&lt;", "<");
  text = ReplaceAll(text, "&gt;", ">");
  std::string spaced = " ";
  for (const char c : text) {
    if (StandsAlone(c)) {
      spaced += {' ', c, ' '};
    } else {
      spaced += c;
    }
  }
  spaced += " ";
  // A stop or a comma stays in a word between two digits only, a dash unless it follows a digit.
  spaced = SpacePairs(
      spaced, [](char a, char b) { return !IsDigit(a) && IsStop(b); }, false, true, true);
  spaced = SpacePairs(
      spaced, [](char a, char b) { return IsStop(a) && !IsDigit(b); }, true, true, false);
  spaced = SpacePairs(
      spaced, [](char a, char b) { return IsDigit(a) && b == '-'; }, false, true, true);
  return text::SplitWords(spaced);
}

Figure Bleu(const std::vector<Translation>& translations) {
  return ScoreCorpus<BleuCounts>(translations, BleuOfCounts);
}

Figure ChrF(const std::vector<Translation>& translations) {
  return ScoreCorpus<ChrFCounts>(translations, ChrFOfCounts);
}

}  // namespace moefy::task
