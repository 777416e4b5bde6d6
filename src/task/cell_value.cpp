#include "task/cell_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include "moefy/base/error.h"

namespace moefy::task {
namespace {

std::optional<double> Number(const std::string& text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Among labels that compare equal there must be exactly one.
std::optional<size_t> Only(const std::vector<std::string>& known,
                           const std::function<bool(const std::string&)>& is_it) {
  const auto found = std::find_if(known.begin(), known.end(), is_it);
  if (found == known.end() || std::find_if(found + 1, known.end(), is_it) != known.end()) {
    return std::nullopt;
  }
  return static_cast<size_t>(found - known.begin());
}

std::optional<size_t> MatchNumber(double number, const std::vector<std::string>& known) {
  return Only(known, [&](const std::string& label) { return Number(label) == number; });
}

// "text" of an object, or a string or number itself.
std::string TextOf(const Json& json, const std::string& where) {
  const Json& text = json.is_object() && json.contains("text") ? json.at("text") : json;
  if (text.is_string()) return text.get<std::string>();
  if (text.is_number() || text.is_boolean()) return text.dump();
  throw InputError(where, " is ", text.type_name(), "; expected a string");
}

std::vector<std::string> TextsOf(const Json& list, const std::string& where) {
  if (!list.is_array()) return {TextOf(list, where)};
  std::vector<std::string> texts;
  for (const Json& item : list)
    texts.push_back(TextOf(item, StrCat(where, "[", texts.size(), "]")));
  return texts;
}

// A truth value as JSON and as Python spell it, and the number it also stands for.
struct Truth {
  double number;
  const char* lower;
  const char* upper;
};

}  // namespace

std::optional<size_t> MatchLabel(const std::string& text, const std::vector<std::string>& known) {
  const auto same = [](const std::string& wanted) {
    return [&wanted](const std::string& label) { return label == wanted; };
  };
  if (const auto found = Only(known, same(text))) return found;
  const std::string trimmed = Trim(text);
  if (const auto found = Only(known, same(trimmed))) return found;
  if (const auto number = Number(trimmed)) return MatchNumber(*number, known);
  for (const Truth& truth : {Truth{1, "true", "True"}, Truth{0, "false", "False"}}) {
    if (trimmed != truth.lower && trimmed != truth.upper) continue;
    const auto found = Only(known, [&](const std::string& label) {
      return label == truth.lower || label == truth.upper;
    });
    return found ? found : MatchNumber(truth.number, known);
  }
  return std::nullopt;
}

std::string LabelHint(const std::string& text) {
  const std::string trimmed = Trim(text);
  if (Number(trimmed) == -1.0) {
    return "; -1 stands for no label, as in GLUE's test files, which are there to be submitted: "
           "take the validation file";
  }
  if (trimmed.size() > 1 && trimmed.front() == '"' && trimmed.back() == '"') {
    return "; tsv has no quotes around cells: the task file can have \"format\": \"csv\" and "
           "\"separator\": \"\\t\"";
  }
  if (trimmed.empty() || trimmed == "nan" || trimmed == "NaN") return "; this row has no label";
  return "";
}

ChoiceList ReadChoices(const Cell& cell) {
  if (cell.value.is_array()) return {TextsOf(cell.value, "field 'choices'")};
  if (!cell.value.is_object() || !cell.value.contains("text")) {
    throw InputError("field 'choices': is ", cell.value.is_null() ? "text" : "an object",
                     "; expected a list of strings, or {\"text\": [...], \"label\": [...]}");
  }
  ChoiceList choices{TextsOf(cell.value.at("text"), "field 'choices': text")};
  if (cell.value.contains("label")) {
    choices.names = TextsOf(cell.value.at("label"), "field 'choices': label");
    if (choices.names.size() != choices.texts.size()) {
      throw InputError("field 'choices': has ", choices.texts.size(), " texts and ",
                       choices.names.size(), " labels");
    }
  }
  return choices;
}

size_t FindChoice(const ChoiceList& choices, const Cell& label) {
  const std::string& text = label.text;
  const size_t count = choices.texts.size();
  const std::string trimmed = Trim(text);
  const auto number = Number(trimmed);
  const auto wrong = [&](const std::string& wanted, const std::string& hint) {
    return InputError("field 'label': ", Quoted(text), " is ", wanted, hint);
  };
  if (!choices.names.empty()) {
    if (const auto found = MatchLabel(text, choices.names); found && *found < count) return *found;
    std::vector<std::string> quoted;
    for (const std::string& name : choices.names) quoted.push_back(Quoted(name));
    throw wrong("no label of a choice; they are " + Join(quoted), LabelHint(text));
  }
  std::vector<size_t> meant;
  const auto itself = std::find(choices.texts.begin(), choices.texts.end(), text);
  if (itself != choices.texts.end()) meant.push_back(itself - choices.texts.begin());
  if (trimmed.size() == 1 && trimmed[0] >= 'A' && trimmed[0] <= 'Z')
    meant.push_back(trimmed[0] - 'A');
  if (number && *number >= 0 && *number < static_cast<double>(count) &&
      *number == std::floor(*number)) {
    meant.push_back(static_cast<size_t>(*number));
  }
  std::erase_if(meant, [&](size_t idx) { return idx >= count; });
  if (label.is_number && !meant.empty()) return meant.back();
  if (meant.empty()) {
    throw wrong(StrCat("neither an index from 0 to ", count - 1, " nor a letter from A to ",
                       std::string(1, static_cast<char>('A' + count - 1)), " nor a choice"),
                number == static_cast<double>(count)
                    ? "; indices that begin with 1 need the task's \"labels\" to say so"
                    : LabelHint(text));
  }
  if (std::any_of(meant.begin(), meant.end(), [&](size_t idx) { return idx != meant[0]; })) {
    throw wrong("a choice and an index or letter of another",
                "; the task's \"labels\" can say which is meant");
  }
  return meant[0];
}

std::vector<std::string> ReadAnswers(const Cell& cell) {
  if (cell.value.is_null()) return {cell.text};
  const bool by_key = cell.value.is_object() && cell.value.contains("text");
  return TextsOf(by_key ? cell.value.at("text") : cell.value,
                 by_key ? "field 'answer': text" : "field 'answer'");
}

std::string AnswerInContext(const std::string& answer, const std::string& context) {
  std::string trimmed = Trim(answer);
  if (trimmed.empty()) throw InputError("is empty");
  if (context.find(trimmed) != std::string::npos) return trimmed;
  // U+0300 to U+036F, which compose with the letter before.
  const bool combines = std::any_of(trimmed.begin(), trimmed.end(),
                                    [](char c) { return c == '\xcc' || c == '\xcd'; });
  throw InputError(Quoted(answer), " is not in the context",
                   combines ? "; its accents are characters of their own, which the context may "
                              "have composed: normalise both to NFC"
                            : "");
}

}  // namespace moefy::task
