// What a cell of a data file means: which label, which choice of a list, which accepted answers.
// People's exports write the same in many ways (1, "1", 1.0, true, "B", {"text": [...]}).
// Pure functions, thread-safe. Error{kInput} says what was found and what would do.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "task/row_reader.h"

namespace moefy::task {

// Which of `known` is meant: the one written so; else without white space around it; else the one
// that is the same number (1.0 is 1); else true is 1 and false 0, as in Python. Two that would do
// are none.
std::optional<size_t> MatchLabel(const std::string& text, const std::vector<std::string>& known);

// Why a label may be none: "; ..." or "".
std::string LabelHint(const std::string& text);

// Choices as a list: ["first", "second"], or {"text": ["first", "second"], "label": ["A", "B"]}.
struct ChoiceList {
  std::vector<std::string> texts;
  std::vector<std::string> names =
      {};  // what the label may be, one per text; empty: see FindChoice
};
ChoiceList ReadChoices(const Cell& cell);

// The right one: one of `names`; without names an index from 0, a letter from A, or the choice
// itself. A number without quotes is an index first.
size_t FindChoice(const ChoiceList& choices, const Cell& label);

// Accepted answers: one text, a list of texts or of {"text": ...}, or {"text": [...]} as the
// datasets library has them. None at all is an empty list.
std::vector<std::string> ReadAnswers(const Cell& cell);

// An answer that must be in the context, without white space around it. Error{kInput} if it is not
// there.
std::string AnswerInContext(const std::string& answer, const std::string& context);

}  // namespace moefy::task
