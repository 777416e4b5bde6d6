// The example's two tasks as tables of text: what the committed data files hold and what the
// trainer draws from without end. Evaluation and training never share a text.
// Deterministic: the same seed gives the same rows everywhere. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "hint.h"

namespace moefy::example {

enum class Subset { kTrain, kEval };

struct Row {
  std::vector<std::string> cells;  // one per column
  std::vector<Hint> hints;
  std::vector<Standing> standings;  // of each label's word in the text, in order; or none
};

struct Corpus {
  std::string name;                 // "sentiment": the task file's and the data files' name
  std::vector<std::string> header;  // columns; the last one is the label
  std::vector<std::string> labels;  // as they stand in the label column
  // One row whose label is labels[label_idx], of either subset.
  Row (*draw)(Random& random, size_t label_idx);
};

const std::vector<Corpus>& Corpora();

// A text belongs to one subset for ever, by its hash: one in eight is for evaluation.
Subset SubsetOf(const std::vector<std::string>& row);

// Draws until the row is of the wanted subset.
Row DrawRow(const Corpus& corpus, Subset subset, size_t label_idx, Random& random);

// The cells of `num_rows` different rows, every label equally often, in random order.
std::vector<std::vector<std::string>> MakeRows(const Corpus& corpus, Subset subset, size_t num_rows,
                                               uint64_t seed);

// Tab-separated, one line for the header and one for each row.
std::string FormatTsv(const Corpus& corpus, const std::vector<std::vector<std::string>>& rows);

struct DataFile {
  std::string name;  // "sentiment.eval.tsv"
  std::string text;
};

// The four files in data/, as committed.
std::vector<DataFile> MakeDataFiles();

}  // namespace moefy::example
