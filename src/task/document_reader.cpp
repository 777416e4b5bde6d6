#include "task/document_reader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/json.h"
#include "base/output.h"
#include "moefy/base/error.h"
#include "task/cell_value.h"

namespace moefy::task {
namespace {

constexpr uint64_t kMaxAnswerBytes = 64 << 20;
constexpr size_t kMaxChoices = 26;  // as many as there are letters

class Collector {
 public:
  explicit Collector(int64_t limit) : limit_(limit) {}
  bool full() const { return limit_ > 0 && static_cast<int64_t>(examples_.size()) >= limit_; }
  void Add(Example example) {
    if (!full()) examples_.push_back(std::move(example));
  }
  std::vector<Example> Take() { return std::move(examples_); }

 private:
  int64_t limit_;
  std::vector<Example> examples_;
};

std::string GetFilled(const JsonObject& object, const std::string& key) {
  std::string text = object.GetString(key);
  if (Trim(text).empty()) throw InputError(object.PathOf(key), " is empty");
  return text;
}

std::string At(const std::string& where, size_t i) { return StrCat(where, "[", i, "]"); }

const Json& RequireArray(const Json& json, const std::string& where) {
  if (!json.is_array()) throw InputError(where, ": expected an array");
  return json;
}

Example MakeChoice(std::string context, std::string question, std::vector<std::string> choices,
                   int64_t answer) {
  Example example;
  example.fields["choices"] = FormatChoices(choices);
  example.fields["context"] = std::move(context);
  example.fields["question"] = std::move(question);
  example.choices = std::move(choices);
  example.label_idx = answer;
  return example;
}

// "A" to "Z" as an index below `num_choices`.
int64_t ParseLetter(const std::string& letter, size_t num_choices, const std::string& where) {
  const size_t index = letter.size() == 1 ? static_cast<size_t>(letter[0] - 'A') : kMaxChoices;
  if (index >= num_choices) {
    throw InputError(where, " is ", Quoted(letter), "; expected a letter from A to ",
                     std::string(1, static_cast<char>('A' + num_choices - 1)));
  }
  return static_cast<int64_t>(index);
}

// Questions that cannot be answered may have plausible answers, which are not accepted.
void AddAnswer(const std::string& text, const std::string& where, bool impossible,
               Example& example) {
  std::string answer =
      WithContext(where, [&] { return AnswerInContext(text, example.fields.at("context")); });
  if (!impossible) example.answers.push_back(std::move(answer));
}

// https://rajpurkar.github.io/SQuAD-explorer, versions 1.1 and 2.0.
void ReadSquad(const Json& json, Collector& out) {
  for (const JsonObject& article : JsonObject(json, "the document").GetObjects("data")) {
    for (const JsonObject& paragraph : article.GetObjects("paragraphs")) {
      const std::string context = GetFilled(paragraph, "context");
      for (const JsonObject& question : paragraph.GetObjects("qas")) {
        if (out.full()) return;
        Example example;
        example.fields = {{"context", context}, {"question", GetFilled(question, "question")}};
        const bool impossible = question.GetBool("is_impossible", false);
        // The datasets library has one object of lists in place of a list of objects.
        if (question.Has("answers") && question.GetRaw("answers").is_object()) {
          const JsonObject answers = question.GetObject("answers");
          for (const std::string& text : answers.GetStrings("text")) {
            AddAnswer(text, At(answers.PathOf("text"), example.answers.size()), impossible,
                      example);
          }
        } else {
          for (const JsonObject& answer : question.GetObjects("answers")) {
            AddAnswer(GetFilled(answer, "text"), answer.PathOf("text"), impossible, example);
          }
        }
        if (example.answers.empty() && !impossible) {
          throw InputError(question.PathOf("answers"), " is empty, and is_impossible is not true");
        }
        out.Add(std::move(example));
      }
    }
  }
}

// {"article", "questions", "options", "answers"}: https://www.cs.cmu.edu/~glai1/data/race.
void ReadRacePassage(const Json& json, const std::string& where, Collector& out) {
  const JsonObject object(json, where);
  const std::string article = GetFilled(object, "article");
  const std::vector<std::string> questions = object.GetStrings("questions");
  const std::vector<std::string> answers = object.GetStrings("answers");
  const Json& options = RequireArray(object.GetRaw("options"), object.PathOf("options"));
  if (answers.size() != questions.size() || options.size() != questions.size()) {
    throw InputError(where, ": ", questions.size(), " questions, but ", options.size(),
                     " options and ", answers.size(), " answers");
  }
  for (size_t i = 0; i < questions.size(); ++i) {
    const std::string path = At(object.PathOf("options"), i);
    std::vector<std::string> choices;
    for (const Json& choice : RequireArray(options[i], path)) {
      if (!choice.is_string()) throw InputError(path, ": expected strings");
      choices.push_back(choice.get<std::string>());
    }
    CheckChoices(choices, path);
    const int64_t answer = ParseLetter(answers[i], choices.size(), At(object.PathOf("answers"), i));
    out.Add(MakeChoice(article, questions[i], std::move(choices), answer));
  }
}

// Every line is a passage.
void ReadRace(std::string_view text, Collector& out) {
  int64_t line = 0;
  for (const std::string& row : Split(text, '\n')) {
    ++line;
    if (out.full()) return;
    const std::string where = StrCat("line ", line);
    if (Trim(row).empty()) throw InputError(where, ": is empty");
    const Json json = WithContext(where, [&] { return ParseJson(row); });
    ReadRacePassage(json, where, out);
  }
}

// [[turns], [{"question", "choice", "answer"}], id]: https://dataset.org/dream.
void ReadDream(const Json& json, Collector& out) {
  RequireArray(json, "the document");
  for (size_t i = 0; i < json.size(); ++i) {
    if (out.full()) return;
    const std::string where = StrCat("dialogue ", i + 1);
    const Json& dialogue = json[i];
    if (!dialogue.is_array() || dialogue.size() < 2 || !dialogue[0].is_array() ||
        !dialogue[1].is_array()) {
      throw InputError(where, ": expected an array of turns, questions and an id");
    }
    std::vector<std::string> turns;
    for (const Json& turn : dialogue[0]) {
      if (!turn.is_string()) throw InputError(where, ": turn ", turns.size() + 1, " is no string");
      turns.push_back(turn.get<std::string>());
    }
    const std::string context = Join(turns, "\n");
    if (Trim(context).empty()) throw InputError(where, ": context is empty");
    for (size_t k = 0; k < dialogue[1].size(); ++k) {
      const JsonObject object(dialogue[1][k], StrCat(where, ": question ", k + 1));
      std::vector<std::string> choices = object.GetStrings("choice");
      CheckChoices(choices, object.PathOf("choice"));
      const std::string answer = object.GetString("answer");
      const auto found = std::find(choices.begin(), choices.end(), answer);
      if (found == choices.end()) {
        throw InputError(object.PathOf("answer"), ": ", Quoted(answer), " is not a choice");
      }
      const int64_t answer_idx = found - choices.begin();
      out.Add(MakeChoice(context, GetFilled(object, "question"), std::move(choices), answer_idx));
    }
  }
}

std::string Unescaped(std::string text) {
  return ReplaceAll(ReplaceAll(std::move(text), "\\newline", "\n"), "\\tab", "\t");
}

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines = Split(text, '\n');
  for (std::string& line : lines) {
    if (line.ends_with('\r')) line.pop_back();
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

// A story a line: id, properties, text, then four times a question and four choices; the letters of
// the answers on the same line of the .ans file. Richardson et al. 2013,
// https://aclanthology.org/D13-1020.
void ReadMctest(const std::filesystem::path& file, std::string_view text, Collector& out) {
  constexpr size_t kQuestions = 4, kChoices = 4, kBefore = 3;
  const std::filesystem::path answer_file = std::filesystem::path(file).replace_extension(".ans");
  const std::vector<std::string> stories = Lines(text);
  const std::vector<std::string> answers = Lines(ReadTextFile(answer_file, kMaxAnswerBytes));
  if (stories.size() != answers.size()) {
    throw InputError("has ", stories.size(), " stories, but ", answer_file, " has ", answers.size(),
                     " lines");
  }
  for (size_t i = 0; i < stories.size(); ++i) {
    if (out.full()) return;
    const std::string where = StrCat("line ", i + 1);
    const std::vector<std::string> cells = Split(stories[i], '\t');
    const std::vector<std::string> letters = Split(answers[i], '\t');
    if (cells.size() != kBefore + kQuestions * (1 + kChoices)) {
      throw InputError(where, ": has ", cells.size(), " columns; expected ",
                       kBefore + kQuestions * (1 + kChoices));
    }
    if (letters.size() != kQuestions) {
      throw InputError(answer_file, ": ", where, ": has ", letters.size(), " answers; expected ",
                       kQuestions);
    }
    const std::string context = Unescaped(cells[2]);
    if (Trim(context).empty()) throw InputError(where, ": context is empty");
    for (size_t k = 0; k < kQuestions; ++k) {
      const size_t at = kBefore + k * (1 + kChoices);
      std::string question = Unescaped(cells[at]);
      for (const std::string_view kind : {"one: ", "multiple: "}) {
        if (question.starts_with(kind)) question = question.substr(kind.size());
      }
      std::vector<std::string> choices;
      for (size_t c = 1; c <= kChoices; ++c) choices.push_back(Unescaped(cells[at + c]));
      const int64_t answer =
          ParseLetter(letters[k], kChoices, StrCat(answer_file, ": ", where, ": answer ", k + 1));
      out.Add(MakeChoice(context, question, std::move(choices), answer));
    }
  }
}

void ReadText(const TaskSpec& spec, std::string_view text, Collector& out) {
  while (!text.empty()) {
    const size_t end =
        spec.separator.empty() ? text.size() : std::min(text.find(spec.separator), text.size());
    std::string part = Trim(text.substr(0, end));
    if (!part.empty()) out.Add({.fields = {{"text", std::move(part)}}});
    text.remove_prefix(std::min(text.size(), end + spec.separator.size()));
  }
}

}  // namespace

void CheckChoices(const std::vector<std::string>& choices, const std::string& where) {
  if (choices.size() < 2 || choices.size() > kMaxChoices) {
    throw InputError(where, " has ", choices.size(), " choices; expected 2 to ", kMaxChoices);
  }
}

std::string FormatChoices(const std::vector<std::string>& choices) {
  std::string out;
  for (size_t i = 0; i < choices.size(); ++i) {
    out += StrCat(i ? " (" : "(", static_cast<char>('A' + i), ") ", choices[i]);
  }
  return out;
}

std::vector<Example> ReadDocument(const TaskSpec& spec, const std::filesystem::path& file,
                                  std::string_view text, int64_t limit) {
  Collector out(limit);
  switch (spec.format) {
    case DataFormat::kSquad:
      ReadSquad(ParseJson(text), out);
      break;
    case DataFormat::kRace:
      ReadRace(text, out);
      break;
    case DataFormat::kDream:
      ReadDream(ParseJson(text), out);
      break;
    case DataFormat::kMctest:
      ReadMctest(file, text, out);
      break;
    case DataFormat::kText:
      ReadText(spec, text, out);
      break;
    default:
      ThrowBug("a table is no document", __FILE__, __LINE__);
  }
  std::vector<Example> examples = out.Take();
  if (examples.empty()) throw InputError("has no examples");
  return examples;
}

}  // namespace moefy::task
