// Reads what a cell of a data file means: which label, which choice of a list, which accepted
// answers. People's exports write the same in many ways (1, "1", 1.0, true, "B", {"text": [...]}).
// Pure functions, thread-safe. Error{kInput} says what was found and what would do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "task/row_reader.h"

namespace moefy::task {

// The label of `known` that `text` means: the one that is written so; else the one that is written
// so without white space around it; else the one that is the same number (1.0 is 1); else true is 1
// and false is 0, as in Python. If two would do, it means none.
std::optional<size_t> MatchLabel(const std::string& text, const std::vector<std::string>& known);

// A guess why a label is unknown, to end a message with: "; ...". "": there is none.
std::string LabelHint(const std::string& text);

// Choices out of a list, ["first", "second"], or out of an object,
// {"text": ["first", "second"], "label": ["A", "B"]}.
struct ChoiceList {
  std::vector<std::string> texts;
  std::vector<std::string> names =
      {};  // what the label may be, one per text; empty: see FindChoice
};
ChoiceList ReadChoices(const Cell& cell);

// The choice that `label` says is right. The label is one of `names`; without names it is an index
// from 0, a letter from A, or the choice itself. A number without quotes is an index first.
size_t FindChoice(const ChoiceList& choices, const Cell& label);

// The accepted answers, out of one text, a list of texts or of {"text": ...}, or {"text": [...]} as
// the datasets library has them. An empty list: no answer is accepted.
std::vector<std::string> ReadAnswers(const Cell& cell);

// The answer without white space around it. Error{kInput} if the context does not hold it.
std::string AnswerInContext(const std::string& answer, const std::string& context);

}  // namespace moefy::task
