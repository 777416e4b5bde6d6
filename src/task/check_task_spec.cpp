#include "task/check_task_spec.h"

#include <algorithm>
#include <set>

#include "moefy/base/error.h"
#include "task/prompt.h"
#include "task/task_kinds.h"

namespace moefy::task {
namespace {

std::string QuotedList(const std::vector<std::string>& names) {
  std::vector<std::string> quoted;
  for (const std::string& name : names) quoted.push_back(Quoted(name));
  return Join(quoted);
}

std::vector<std::string> Fields(const DataSplit& split) {
  std::vector<std::string> fields;
  for (const auto& [field, column] : split.columns) fields.push_back(field);
  return fields;
}

// What a prompt or an input may name, and the answer.
std::vector<std::string> KnownFields(const TaskSpec& spec) {
  const FormatRow& format = GetFormat(spec.format);
  if (!format.is_table) return format.fields;
  std::vector<std::string> known;
  if (!spec.splits.empty()) known = Fields(spec.splits[0]);
  if (spec.kind == TaskKind::kMultipleChoice && !HasChoiceList(spec)) known.emplace_back("choices");
  return known;
}

void CheckColumns(const TaskSpec& spec, const DataSplit& split, const std::string& where,
                  Problems& problems) {
  if (!GetFormat(spec.format).is_table) {
    if (!split.columns.empty()) {
      problems.Add(where, "columns is for tables; ", GetFormat(spec.format).name,
                   " has the fields ", QuotedList(KnownFields(spec)));
    }
    return;
  }
  std::vector<std::string> needed = {GetKind(spec.kind).answer};
  if (spec.kind == TaskKind::kExtractiveQa) needed.emplace_back("context");
  if (IsOnlyText(spec.kind)) needed.emplace_back("text");
  for (const std::string& field : needed) {
    if (!field.empty() && !split.columns.contains(field)) {
      problems.Add(where, "columns has no field ", Quoted(field));
    }
  }
  for (const auto& [field, column] : split.columns) {
    if (column.empty()) problems.Add(where, "column of ", Quoted(field), " is ''");
  }
}

void CheckSplits(const TaskSpec& spec, Problems& problems) {
  if (spec.splits.empty()) problems.Add("splits is empty; expected at least one");
  for (const DataSplit& split : spec.splits) {
    const std::string where = "splits: " + split.name + ": ";
    const std::filesystem::path file = split.file;
    if (split.file.empty() || file.is_absolute()) {
      problems.Add(where, "file is ", Quoted(split.file),
                   "; expected a path relative to the data directory");
    }
    CheckColumns(spec, split, where, problems);
    if (Fields(split) != Fields(spec.splits[0])) {
      problems.Add(where, "columns has the fields ", QuotedList(Fields(split)),
                   "; the other splits have ", QuotedList(Fields(spec.splits[0])));
    }
  }
}

void CheckField(const TaskSpec& spec, const std::string& where, const std::string& field,
                Problems& problems) {
  if (field == GetKind(spec.kind).answer) {
    problems.Add(where, " uses ", Quoted(field), ", which would give the answer away");
    return;
  }
  if (spec.splits.empty()) return;  // that was said already
  const std::vector<std::string> known = KnownFields(spec);
  if (std::find(known.begin(), known.end(), field) == known.end()) {
    problems.Add(where, " names the field ", Quoted(field), DidYouMean(field, known),
                 "; columns has ", QuotedList(known));
  }
}

// A prompt or what follows it: text with fields in braces.
void CheckTemplate(const TaskSpec& spec, const std::string& key, const std::string& text,
                   Problems& problems) {
  try {
    bool has_field = text.empty();
    for (const PromptPart& part : ParsePrompt(text)) {
      has_field = has_field || part.is_field;
      // The prompt names one of the choices at a time, and the same text follows it.
      const bool is_choice = part.text == "choice" && spec.kind == TaskKind::kMultipleChoice;
      if (part.is_field && !is_choice) CheckField(spec, key, part.text, problems);
    }
    if (!has_field) problems.Add(key + " has no {field}: it would be the same everywhere");
  } catch (const Error& error) {
    problems.Add(key, ": ", error.what());
  }
}

void CheckInputs(const TaskSpec& spec, Problems& problems) {
  if (IsOnlyText(spec.kind)) {
    if (!spec.inputs.empty() || !spec.prompt.empty()) {
      problems.Add(GetKind(spec.kind).name, " takes the text as it is: no inputs, no prompt");
    }
    return;
  }
  if (spec.inputs.empty() && spec.prompt.empty()) {
    problems.Add("neither inputs (for encoders) nor prompt (for text-to-text) is given");
  }
  if (spec.inputs.size() > 2) {
    problems.Add("inputs has ", spec.inputs.size(), " fields; expected one or two");
  }
  for (const std::string& field : spec.inputs) CheckField(spec, "inputs", field, problems);
  CheckTemplate(spec, "prompt", spec.prompt, problems);
}

// What follows a prompt that has one choice in it.
void CheckContinuation(const TaskSpec& spec, Problems& problems) {
  const bool has_choice = spec.prompt.find("{choice}") != std::string::npos;
  if (spec.continuation.empty()) {
    if (has_choice && spec.kind == TaskKind::kMultipleChoice) {
      problems.Add("prompt has {choice}, but no \"continuation\" says what follows it");
    }
    return;
  }
  CheckTemplate(spec, "continuation", spec.continuation, problems);
  if (spec.continuation.find("{choice") != std::string::npos) {
    problems.Add("continuation has the choice in it; it is the same after every choice");
  }
  if (!has_choice) problems.Add("continuation is given, but the prompt has no {choice}");
  if (spec.answer_by_letter) problems.Add("answer_by_letter does not go with continuation");
}

// Multiple choice in tables names the fields of the choices; documents bring theirs.
void CheckChoiceFields(const TaskSpec& spec, Problems& problems) {
  const bool wanted = spec.kind == TaskKind::kMultipleChoice && GetFormat(spec.format).is_table;
  if (!wanted) {
    if (!spec.choices.empty()) problems.Add("choices is for multiple_choice in tables");
    return;
  }
  if (HasChoiceList(spec)) {
    if (spec.format != DataFormat::kJsonl) {
      problems.Add("columns has 'choices', a list, which only jsonl can hold");
    }
    if (!spec.choices.empty()) {
      problems.Add("choices names fields, but columns has 'choices', a list of them");
    }
    return;
  }
  for (const std::string& field : spec.choices) CheckField(spec, "choices", field, problems);
  if (spec.choices.size() < 2 || spec.choices.size() != spec.labels.size()) {
    problems.Add("choices has ", spec.choices.size(), " fields and labels ", spec.labels.size(),
                 "; expected as many of each, at least two, or a ",
                 "column 'choices' that holds a list");
  }
}

void CheckLabels(const TaskSpec& spec, Problems& problems) {
  if (!GetKind(spec.kind).has_labels || !GetFormat(spec.format).is_table) {
    if (!spec.labels.empty()) {
      problems.Add("labels is not for ", GetKind(spec.kind).name, " from ",
                   GetFormat(spec.format).name);
    }
    return;
  }
  if (spec.labels.empty() && HasChoiceList(spec)) return;  // an index, a letter, the choice itself
  if (spec.labels.size() < 2) {
    problems.Add("labels has ", spec.labels.size(), "; expected at least two");
  }
  std::set<std::string> values, words;
  for (const Label& label : spec.labels) {
    if (!values.insert(label.value).second) {
      problems.Add("labels: the value ", Quoted(label.value), " is there twice");
    }
    if (!label.word.empty() && !words.insert(label.word).second) {
      problems.Add("labels: the word ", Quoted(label.word), " is there twice");
    }
    if (label.word.empty() && !spec.prompt.empty() && spec.kind == TaskKind::kClassification) {
      problems.Add("labels: ", Quoted(label.value),
                   " has no word, which a task with a prompt needs");
    }
  }
}

// The separator stands between examples of text, or between cells of CSV, where it is one
// character.
void CheckSeparator(const TaskSpec& spec, Problems& problems) {
  if (spec.separator.empty() || spec.format == DataFormat::kText) return;
  if (spec.format != DataFormat::kCsv) {
    problems.Add("separator is for text and csv");
  } else if (spec.separator.size() != 1 ||
             std::string_view("\"\r\n").find(spec.separator[0]) != std::string_view::npos) {
    problems.Add("separator is ", Quoted(spec.separator),
                 "; expected one character between cells, e.g. ';'");
  }
}

}  // namespace

bool HasChoiceList(const TaskSpec& spec) {
  return spec.kind == TaskKind::kMultipleChoice && GetFormat(spec.format).is_table &&
         !spec.splits.empty() && spec.splits[0].columns.contains("choices");
}

void CheckTaskSpec(const TaskSpec& spec, Problems& problems) {
  const KindRow& kind = GetKind(spec.kind);
  const FormatRow& format = GetFormat(spec.format);
  if (spec.name.empty()) problems.Add("name is ''");
  if (std::find(kind.metrics.begin(), kind.metrics.end(), spec.metric) == kind.metrics.end()) {
    problems.Add("metric is ", Quoted(spec.metric), "; expected one of ", Join(kind.metrics));
  }
  const bool both_text = IsOnlyText(spec.kind) && IsOnlyText(format.kind);
  if (!format.is_table && spec.kind != format.kind && !both_text) {
    problems.Add("format ", format.name, " does not hold a task of kind ", kind.name);
  }
  if (!spec.header.empty() && spec.format != DataFormat::kTsv && spec.format != DataFormat::kCsv) {
    problems.Add("header is for tsv and csv");
  }
  CheckSeparator(spec, problems);
  CheckSplits(spec, problems);
  CheckInputs(spec, problems);
  CheckContinuation(spec, problems);
  CheckLabels(spec, problems);
  CheckChoiceFields(spec, problems);
}

}  // namespace moefy::task
