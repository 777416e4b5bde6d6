#include "task/answers.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "moefy/base/error.h"
#include "text/words.h"

namespace moefy::task {
namespace {

using Words = std::vector<std::string>;

// The best score over all answers. If there are none, it is the score against "".
template <typename Score>
double Best(const std::vector<std::string>& answers, Score&& score) {
  if (answers.empty()) return score(std::string());
  double best = 0;
  for (const std::string& answer : answers) best = std::max(best, score(answer));
  return best;
}

double F1(size_t num_common, size_t num_predicted, size_t num_wanted) {
  if (num_common == 0) return 0;
  const auto common = static_cast<double>(num_common);
  const double precision = common / static_cast<double>(num_predicted);
  const double recall = common / static_cast<double>(num_wanted);
  return 2 * precision * recall / (precision + recall);
}

size_t NumCommon(const Words& a, const Words& b) {
  std::map<std::string, size_t> counts;
  for (const std::string& word : a) ++counts[word];
  size_t num_common = 0;
  for (const std::string& word : b) {
    if (counts[word] > 0) {
      --counts[word];
      ++num_common;
    }
  }
  return num_common;
}

Words RougeWords(std::string_view text) {
  Words words(1);
  for (const char c : text::LowerCase(text)) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

size_t CommonSubsequence(const Words& a, const Words& b) {
  std::vector<size_t> row(b.size() + 1, 0);  // of the beginnings of b, for a's words so far
  for (const std::string& word : a) {
    size_t diagonal = 0;
    for (size_t i = 0; i < b.size(); ++i) {
      const size_t above = row[i + 1];
      row[i + 1] = word == b[i] ? diagonal + 1 : std::max(above, row[i]);
      diagonal = above;
    }
  }
  return row.back();
}

int64_t EditDistance(const Words& a, const Words& b) {
  std::vector<int64_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    int64_t diagonal = row[0];
    row[0] = static_cast<int64_t>(i) + 1;
    for (size_t k = 0; k < b.size(); ++k) {
      const int64_t above = row[k + 1];
      row[k + 1] = std::min({above + 1, row[k] + 1, diagonal + (a[i] == b[k] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::string NormalizeAnswer(std::string_view text) {
  std::string lower = text::LowerCase(text);
  std::erase_if(lower, [](char c) {
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
           (c >= 123 && c <= 126);
  });
  return Join(text::SplitWords(text::DropWords(lower, {"a", "an", "the"})), " ");
}

double SquadExactMatch(std::string_view prediction, const std::vector<std::string>& answers) {
  const std::string predicted = NormalizeAnswer(prediction);
  return Best(answers, [&](const std::string& answer) {
    return NormalizeAnswer(answer) == predicted ? 1.0 : 0.0;
  });
}

double SquadF1(std::string_view prediction, const std::vector<std::string>& answers) {
  const Words predicted = text::SplitWords(NormalizeAnswer(prediction));
  return Best(answers, [&](const std::string& answer) {
    const Words wanted = text::SplitWords(NormalizeAnswer(answer));
    if (predicted.empty() || wanted.empty()) return predicted == wanted ? 1.0 : 0.0;
    return F1(NumCommon(predicted, wanted), predicted.size(), wanted.size());
  });
}

double TextExactMatch(std::string_view prediction, const std::vector<std::string>& answers) {
  return Best(answers, [&](const std::string& answer) {
    return Trim(prediction) == Trim(answer) ? 1.0 : 0.0;
  });
}

double RougeL(std::string_view prediction, const std::vector<std::string>& answers) {
  const Words predicted = RougeWords(prediction);
  return Best(answers, [&](const std::string& answer) {
    const Words wanted = RougeWords(answer);
    return F1(CommonSubsequence(predicted, wanted), predicted.size(), wanted.size());
  });
}

CharacterErrors CountCharacterErrors(std::string_view prediction,
                                     const std::vector<std::string>& answers) {
  MOEFY_CHECK(!answers.empty());
  const Words predicted = text::SplitCharacters(Trim(prediction));
  CharacterErrors best;
  double best_rate = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const Words wanted = text::SplitCharacters(Trim(answers[i]));
    const CharacterErrors errors{EditDistance(predicted, wanted),
                                 static_cast<int64_t>(wanted.size())};
    const double rate = static_cast<double>(errors.edits) /
                        static_cast<double>(std::max<int64_t>(1, errors.length));
    if (i == 0 || rate < best_rate) {
      best = errors;
      best_rate = rate;
    }
  }
  return best;
}

}  // namespace moefy::task
