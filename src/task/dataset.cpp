#include "task/dataset.h"

#include "base/output.h"
#include "base/problems.h"
#include "base/utf8.h"
#include "moefy/base/error.h"
#include "task/cell_value.h"
#include "task/document_reader.h"
#include "task/prompt.h"
#include "task/row_reader.h"
#include "task/task_kinds.h"

namespace moefy::task {
namespace {

constexpr uint64_t kMaxFileBytes = 2'000'000'000;
constexpr size_t kMaxProblems = 5;

// The label's index, or -1 after adding to `problems`.
int64_t FindLabel(const TaskSpec& spec, const std::string& value,
                  std::vector<std::string>& problems) {
  std::vector<std::string> known, quoted;
  for (const Label& label : spec.labels) {
    known.push_back(label.value);
    quoted.push_back(Quoted(label.value));
  }
  if (const auto found = MatchLabel(value, known)) return static_cast<int64_t>(*found);
  problems.push_back(StrCat("field 'label': ", Quoted(value), " is not a label of task ",
                            Quoted(spec.name), "; its labels are ", Join(quoted),
                            LabelHint(value)));
  return -1;
}

// Takes choices that are fields of their own, or one list; the label is the index of the right one.
void TakeChoices(const TaskSpec& spec, const Cell* choices, const Cell& label, Example& example,
                 std::vector<std::string>& problems) {
  if (!spec.labels.empty()) example.label_idx = FindLabel(spec, label.text, problems);
  for (const std::string& field : spec.choices) example.choices.push_back(example.fields[field]);
  if (choices != nullptr) {
    ChoiceList list = ReadChoices(*choices);
    CheckChoices(list.texts, "field 'choices'");
    if (spec.labels.empty()) {
      example.label_idx = static_cast<int64_t>(FindChoice(list, label));
    }
    example.choices = std::move(list.texts);
  }
  const auto count = static_cast<int64_t>(example.choices.size());
  if (example.label_idx >= count) {
    problems.push_back(StrCat("field 'label': ", Quoted(label.text), " is choice ",
                              example.label_idx + 1, "; there are ", count));
  }
  example.fields["choices"] = FormatChoices(example.choices);
}

void TakeAnswers(const TaskSpec& spec, const Cell& cell, Example& example) {
  example.answers = ReadAnswers(cell);
  if (spec.kind == TaskKind::kExtractiveQa) {
    for (std::string& answer : example.answers) {
      answer = WithContext("field 'answer'",
                           [&] { return AnswerInContext(answer, example.fields.at("context")); });
    }
  } else if (example.answers.empty()) {
    throw InputError("field 'answer': is an empty list");
  }
}

// Cuts off empty lines at the very end, which are no rows.
std::string_view WithoutTrailingNewlines(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// Puts a row's cells where they belong; says what is wrong with them in `problems`.
Example MakeExample(const TaskSpec& spec, const std::vector<WantedColumn>& wanted,
                    std::vector<Cell>& cells, std::vector<std::string>& problems) {
  const KindRow& kind = GetKind(spec.kind);
  Example example;
  const Cell* choices = nullptr;
  const Cell* answer = nullptr;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].field == kind.answer) {
      answer = &cells[i];
    } else if (spec.kind == TaskKind::kMultipleChoice && wanted[i].field == "choices") {
      choices = &cells[i];
    } else {
      example.fields[wanted[i].field] = std::move(cells[i].text);
    }
  }
  if (spec.kind == TaskKind::kExtractiveQa && Trim(example.fields["context"]).empty()) {
    problems.push_back("field 'context': is empty");
    return example;
  }
  try {
    if (spec.kind == TaskKind::kMultipleChoice) {
      TakeChoices(spec, choices, *answer, example, problems);
    } else if (kind.has_labels) {
      example.label_idx = FindLabel(spec, answer->text, problems);
    } else if (answer != nullptr) {
      TakeAnswers(spec, *answer, example);
    }
  } catch (const Error& error) {
    problems.push_back(error.what());
  }
  return example;
}

std::vector<Example> ReadTable(const TaskSpec& spec, const DataSplit& split,
                               std::vector<std::string_view> texts, int64_t limit) {
  std::vector<WantedColumn> wanted;
  const KindRow& kind = GetKind(spec.kind);
  for (const auto& [field, column] : split.columns) {
    const bool is_list = spec.kind == TaskKind::kMultipleChoice
                             ? field == "choices"
                             : !kind.has_labels && field == kind.answer;
    wanted.push_back({field, column, is_list});
  }
  const char separator = spec.separator.empty() ? ',' : spec.separator[0];
  const std::unique_ptr<RowReader> reader =
      MakeRowReader(spec.format, std::move(texts), wanted, {spec.header, separator});

  std::vector<Example> examples;
  Problems problems(kMaxProblems);
  TableRow record;
  while ((limit == 0 || static_cast<int64_t>(examples.size()) < limit) && !problems.StopSearch() &&
         reader->Next(record)) {
    Example& example = examples.emplace_back();
    if (record.problems.empty()) {
      example = MakeExample(spec, wanted, record.cells, record.problems);
    }
    for (const std::string& problem : record.problems) {
      problems.Add("line ", record.line, ": ", problem);
    }
  }
  problems.ThrowIfAny();
  if (examples.empty()) {
    throw InputError(spec.format == DataFormat::kJsonl ? "has no examples"
                                                       : "has a header and no examples");
  }
  return examples;
}

// The text of a file as its reader takes it; `storage` may hold it.
std::string_view Prepare(std::string_view text, std::string& storage) {
  RequireUtf8(text);
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // spreadsheets write one
  // Excel still offers the line ends that the Mac had before 2001.
  if (text.find('\n') == std::string_view::npos && text.find('\r') != std::string_view::npos) {
    storage = ReplaceAll(std::string(text), "\r", "\n");
    text = storage;
  }
  text = WithoutTrailingNewlines(text);
  if (text.empty()) throw InputError("is empty");
  return text;
}

}  // namespace

Dataset ReadDataset(const TaskSpec& spec, const std::string& split_name,
                    const std::filesystem::path& data_directory, int64_t limit) {
  if (limit < 0) throw UsageError("the limit on examples is ", limit, "; expected 0 or more");
  const DataSplit& split = spec.GetSplit(split_name);
  Dataset dataset;
  const std::filesystem::path directory = data_directory.empty() ? spec.directory : data_directory;
  const std::vector<std::filesystem::path> files = split.Files(spec.format);
  std::vector<std::string> contents(files.size()), storage(files.size());
  std::vector<std::string_view> texts;
  for (size_t i = 0; i < files.size(); ++i) {
    dataset.files.push_back(directory / files[i]);
    contents[i] = ReadTextFile(dataset.files[i], kMaxFileBytes);
    WithContext(dataset.files[i].string(),
                [&] { texts.push_back(Prepare(contents[i], storage[i])); });
  }
  const std::filesystem::path& first = dataset.files.front();
  dataset.examples = WithContext((directory / split.file).string(), [&] {
    return GetFormat(spec.format).is_table ? ReadTable(spec, split, std::move(texts), limit)
                                           : ReadDocument(spec, first, texts.front(), limit);
  });
  if (IsOnlyText(spec.kind)) dataset.max_windows = limit;
  return dataset;
}

namespace {

std::string Filled(const std::string& text, const Example& example) {
  std::string filled;
  for (const PromptPart& part : ParsePrompt(text)) {
    filled += part.is_field ? example.fields.at(part.text) : part.text;
  }
  return filled;
}

}  // namespace

std::string FormatPrompt(const TaskSpec& spec, const Example& example) {
  return Filled(spec.prompt, example);
}

std::string FormatContinuation(const TaskSpec& spec, const Example& example) {
  return Filled(spec.continuation, example);
}

}  // namespace moefy::task
