// Figures of sacrebleu 2.6.0 (BLEU() and CHRF() with their defaults) for sentences written for it.
#include "task/translation_scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace moefy::task {
namespace {

using Corpus = std::vector<Translation>;

struct Case {
  const char* name;
  Corpus corpus;
  double bleu, chrf;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> kCases = {
      {"numbers and punctuation",
       {{"The old bridge, built in 1,000.5 days, fell down.",
         {"The old bridge, which was built in 1,000.5 days, fell down."}},
        {"He said: \"no-one knows 3-4 of them!\"", {"He said: \"no one knows 3-4 of them.\""}},
        {"It costs $5 & tax (about 7%).", {"It costs $5 & tax, about 7%."}}},
       62.267618579836544,
       79.91364603167604},
      {"an empty translation among others",
       {{"", {"Nothing was said here."}},
        {"A cat sat on the small mat.", {"A cat sat on a small mat today."}}},
       20.183609024241694,
       35.428373421560046},
      {"nothing but an empty translation", {{"", {"Nothing was said here."}}}, 0, 0},
      {"no four words match",
       {{"the red dog runs home now", {"a red dog walked home just now"}}},
       16.341219448835542,
       31.176347572842435},
      {"no word matches",
       {{"alpha beta gamma delta", {"one two three four five"}}},
       0,
       5.311890838206627},
      {"no translation has four words", {{"yes", {"yes"}}, {"no no", {"no no"}}}, 0, 100},
      {"words that are repeated too often",
       {{"the the the the the the the cat is on it", {"the cat is on it"}}},
       35.08439695638686,
       72.29413489861017},
      {"letters and spaces beyond ASCII",
       {{"Ação não é só coração — à toa…", {"A ação não é só o coração, à toa…"}},
        {"Olá,\u00a0mundo  inteiro !", {"Olá, mundo inteiro!"}}},
       43.844133922096276,
       75.81161133712847},
      {"two references",
       {{"a small house stands by the river",
         {"a little house stands by the river", "one small house is at the river side"}},
        {"we go", {"we go there now", "we go"}}},
       71.21043131712585,
       76.56261625754361},
      {"entities",
       {{"Tom &amp; Ann said &quot;hi&quot; &lt;b&gt; <skipped>twice",
         {"Tom & Ann said \"hi\" <b> twice"}}},
       100,
       38.63175740644639},
  };
  return kCases;
}

TEST(TranslationScores, AreThoseOfSacrebleu) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    EXPECT_NEAR(Bleu(c.corpus).value, c.bleu, 1e-9);
    EXPECT_NEAR(ChrF(c.corpus).value, c.chrf, 1e-9);
  }
}

TEST(TranslationScores, WordsAreThoseOf13a) {
  const std::pair<const char*, std::vector<std::string>> kTexts[] = {
      {"He paid 1,000.5 euros, i.e. 3-4 % more... (or -7,5)",
       {"He", "paid", "1,000.5", "euros", ",", "i", ".", "e",  ".",    "3", "-",
        "4",  "%",    "more",    ".",     ".", ".", "(", "or", "-7,5", ")"}},
      {"it's a \"test\": x=y/z; \\o/ [a]{b}",
       {"it's", "a",  "\"", "test", "\"", ":", "x", "=", "y", "/", "z",
        ";",    "\\", "o",  "/",    "[",  "a", "]", "{", "b", "}"}},
      {"a.b,c 1.b 2,c .5 5. 10-12 x-1 1-x",
       {"a", ".", "b", ",", "c",  "1", ".",  "b",   "2", ",", "c",
        ".", "5", "5", ".", "10", "-", "12", "x-1", "1", "-", "x"}},
      {"U.S.A.-born &lt;i&gt; don't",
       {"U", ".", "S", ".", "A", ".", "-born", "<", "i", ">", "don't"}},
      {"não—é… “sim”, 5º.", {"não—é…", "“sim”", ",", "5º", "."}},
      {"  spaces\u00a0and\u3000more \t here ", {"spaces", "and", "more", "here"}},
      {"1.,2 ,,3..a", {"1", ".", ",", "2", ",", ",3", ".", ".", "a"}},
      {"", {}}};
  for (const auto& [text, words] : kTexts) EXPECT_EQ(Tokenize13a(text), words) << text;
}

// One more copy of a sentence among many moves the score by its influence divided by their number.
TEST(TranslationScores, InfluencesSayWhatASentenceChanges) {
  for (const auto score : {Bleu, ChrF}) {
    Corpus corpus;
    for (int copy = 0; copy < 100; ++copy) {
      for (const size_t c : {0, 1, 3}) {
        corpus.insert(corpus.end(), Cases()[c].corpus.begin(), Cases()[c].corpus.end());
      }
    }
    const Figure figure = score(corpus);
    ASSERT_EQ(figure.influences.size(), corpus.size());
    EXPECT_NEAR(std::accumulate(figure.influences.begin(), figure.influences.end(), 0.0), 0, 1e-6);
    for (size_t i = 0; i < 6; ++i) {
      Corpus more = corpus;
      more.push_back(corpus[i]);
      const double moved = score(more).value - figure.value;
      const double expected = figure.influences[i] / static_cast<double>(corpus.size());
      EXPECT_NEAR(moved, expected, 0.01 * std::abs(expected)) << i;
      EXPECT_GT(std::abs(moved), 1e-4) << "nothing moves";
    }
  }
}

}  // namespace
}  // namespace moefy::task
