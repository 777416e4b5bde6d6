#include "moefy/task/dataset.h"

#include "moefy/base/error.h"
#include "moefy/base/output.h"
#include "task/document_reader.h"
#include "task/prompt.h"
#include "task/record_reader.h"
#include "task/task_kinds.h"

namespace moefy::task {
namespace {

constexpr uint64_t kMaxFileBytes = 2'000'000'000;
constexpr size_t kMaxProblems = 5;

// The label's index, or -1 after adding to `problems`.
int64_t FindLabel(const TaskSpec& spec, const std::string& value,
                  std::vector<std::string>& problems) {
  std::vector<std::string> known;
  for (size_t i = 0; i < spec.labels.size(); ++i) {
    if (spec.labels[i].value == value) return static_cast<int64_t>(i);
    known.push_back(Quoted(spec.labels[i].value));
  }
  problems.push_back(StrCat("field 'label': ", Quoted(value), " is not a label of task ",
                            Quoted(spec.name), "; its labels are ", Join(known)));
  return -1;
}

// Empty lines at the very end are no rows.
std::string_view WithoutTrailingNewlines(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// Puts a row's cells where they belong; says what is wrong with them in `problems`.
Example MakeExample(const TaskSpec& spec, const std::vector<WantedColumn>& wanted,
                    std::vector<std::string>& cells, std::vector<std::string>& problems) {
  const KindRow& kind = GetKind(spec.kind);
  Example example;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].field != kind.answer) {
      example.fields[wanted[i].field] = std::move(cells[i]);
    } else if (kind.has_labels) {
      example.label_idx = FindLabel(spec, cells[i], problems);
    } else {
      example.answers.push_back(std::move(cells[i]));
    }
  }
  if (spec.kind == TaskKind::kMultipleChoice) {
    for (const std::string& field : spec.choices) example.choices.push_back(example.fields[field]);
    example.fields["choices"] = FormatChoices(example.choices);
  }
  if (spec.kind == TaskKind::kExtractiveQa) {
    const std::string& context = example.fields["context"];
    if (Trim(context).empty()) {
      problems.push_back("field 'context': is empty");
    } else if (example.answers[0].empty() ||
               context.find(example.answers[0]) == std::string::npos) {
      problems.push_back(
          StrCat("field 'answer': ", Quoted(example.answers[0]), " is not in the context"));
    }
  }
  return example;
}

std::vector<Example> ReadTable(const TaskSpec& spec, const DataSplit& split, std::string_view text,
                               int64_t limit) {
  std::vector<WantedColumn> wanted;
  for (const auto& [field, column] : split.columns) wanted.push_back({field, column});
  const std::unique_ptr<RecordReader> reader =
      MakeRecordReader(spec.format, text, wanted, spec.header);

  std::vector<Example> examples;
  std::vector<std::string> problems;
  Record record;
  while ((limit == 0 || static_cast<int64_t>(examples.size()) < limit) &&
         problems.size() < kMaxProblems && reader->Next(record)) {
    Example& example = examples.emplace_back();
    if (record.problems.empty()) {
      example = MakeExample(spec, wanted, record.cells, record.problems);
    }
    for (const std::string& problem : record.problems) {
      problems.push_back(StrCat("line ", record.line, ": ", problem));
    }
  }
  if (problems.size() == 1) throw InputError(problems[0]);
  if (!problems.empty()) {
    throw InputError(problems.size(), " problems",
                     problems.size() < kMaxProblems ? "" : " (the rest was not read)", ":\n  ",
                     Join(problems, "\n  "));
  }
  if (examples.empty()) throw InputError("has a header and no examples");
  return examples;
}

std::vector<Example> ReadExamples(const TaskSpec& spec, const DataSplit& split,
                                  const std::filesystem::path& file, std::string_view text,
                                  int64_t limit) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // spreadsheets write one
  text = WithoutTrailingNewlines(text);
  if (text.empty()) throw InputError("is empty");
  return GetFormat(spec.format).is_table ? ReadTable(spec, split, text, limit)
                                         : ReadDocument(spec, file, text, limit);
}

}  // namespace

Dataset ReadDataset(const TaskSpec& spec, const std::string& split_name,
                    const std::filesystem::path& data_directory, int64_t limit) {
  if (limit < 0) throw UsageError("the limit on examples is ", limit, "; expected 0 or more");
  const DataSplit& split = spec.GetSplit(split_name);
  Dataset dataset;
  dataset.file = (data_directory.empty() ? spec.directory : data_directory) / split.file;
  const std::string text = ReadTextFile(dataset.file, kMaxFileBytes);
  dataset.examples = WithContext(
      dataset.file.string(), [&] { return ReadExamples(spec, split, dataset.file, text, limit); });
  return dataset;
}

std::string FormatPrompt(const TaskSpec& spec, const Example& example) {
  std::string prompt;
  for (const PromptPart& part : ParsePrompt(spec.prompt)) {
    prompt += part.is_field ? example.fields.at(part.text) : part.text;
  }
  return prompt;
}

}  // namespace moefy::task
