// BLEU and chrF of translations as sacrebleu computes them (Post 2018,
// https://aclanthology.org/W18-6319; compared with sacrebleu 2.6.0), both from 0 to 100. They are
// scores of a corpus, from counts that its sentences add up to; a sentence's influence on the score
// is the first-order one of its counts. Pure functions, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "task/metrics.h"

namespace moefy::task {

struct Translation {
  std::string text;
  std::vector<std::string> references;  // at least one
};

// The words of a text by the rules "13a" of mteval-v13a.pl.
std::vector<std::string> Tokenize13a(std::string_view text);

// BLEU of up to four words, Papineni et al. 2002 (https://aclanthology.org/P02-1040): 13a words,
// case counts, an order without a match is smoothed "exp", and the reference nearest in length is
// the one whose length counts. Signature: case:mixed|eff:no|tok:13a|smooth:exp.
Figure Bleu(const std::vector<Translation>& translations);

// chrF2 of up to six characters without white space, Popovic 2015
// (https://aclanthology.org/W15-3049). Of several references the one with the best score counts.
// Signature: case:mixed|eff:yes|nc:6|nw:0|space:no.
Figure ChrF(const std::vector<Translation>& translations);

}  // namespace moefy::task
