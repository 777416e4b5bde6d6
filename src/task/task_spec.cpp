#include "moefy/task/task_spec.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "moefy/base/error.h"
#include "moefy/base/json.h"
#include "task/prompt.h"

namespace moefy::task {
namespace {

constexpr const char* kLabelField = "label";
constexpr int64_t kMinTokens = 4;  // room for a pair's special tokens and one more
constexpr int64_t kMaxTokens = 1 << 20;

constexpr std::array<std::pair<const char*, DataFormat>, 3> kFormats = {
    {{"tsv", DataFormat::kTsv}, {"csv", DataFormat::kCsv}, {"jsonl", DataFormat::kJsonl}}};
const std::vector<std::string> kMetrics = {"accuracy"};

using Problems = std::vector<std::string>;

std::string QuotedList(const std::vector<std::string>& names) {
  std::vector<std::string> quoted;
  for (const std::string& name : names) quoted.push_back(Quoted(name));
  return Join(quoted);
}

DataFormat ParseFormat(const JsonObject& object, Problems& problems) {
  const std::string name = object.GetString("format");
  std::vector<std::string> names;
  for (const auto& [known, format] : kFormats) {
    if (name == known) return format;
    names.push_back(known);
  }
  problems.push_back(StrCat("format is ", Quoted(name), "; expected one of ", Join(names)));
  return DataFormat::kTsv;
}

std::vector<DataSplit> ParseSplits(const JsonObject& splits) {
  std::vector<DataSplit> out;
  for (const std::string& name : splits.Keys()) {
    const JsonObject object = splits.GetObject(name);
    DataSplit split{.name = name, .file = object.GetString("file"), .columns = {}};
    const JsonObject columns = object.GetObject("columns");
    for (const std::string& field : columns.Keys()) {
      split.columns[field] = columns.GetString(field);
    }
    object.RefuseUnknownKeys();
    out.push_back(std::move(split));
  }
  return out;
}

std::vector<std::string> Fields(const DataSplit& split) {
  std::vector<std::string> fields;
  for (const auto& [field, column] : split.columns) fields.push_back(field);
  return fields;
}

void CheckSplits(const TaskSpec& spec, Problems& problems) {
  if (spec.splits.empty()) problems.push_back("splits is empty; expected at least one");
  for (const DataSplit& split : spec.splits) {
    const std::string where = "splits: " + split.name + ": ";
    const std::filesystem::path file = split.file;
    if (split.file.empty() || file.is_absolute()) {
      problems.push_back(StrCat(where, "file is ", Quoted(split.file),
                                "; expected a path relative to the data directory"));
    }
    if (!split.columns.contains(kLabelField)) {
      problems.push_back(where + "columns has no field 'label'");
    }
    for (const auto& [field, column] : split.columns) {
      if (column.empty()) problems.push_back(StrCat(where, "column of ", Quoted(field), " is ''"));
    }
    if (Fields(split) != Fields(spec.splits[0])) {
      problems.push_back(StrCat(where, "columns has the fields ", QuotedList(Fields(split)),
                                "; the other splits have ", QuotedList(Fields(spec.splits[0]))));
    }
  }
}

void CheckField(const TaskSpec& spec, const std::string& where, const std::string& field,
                Problems& problems) {
  if (field == kLabelField) {
    problems.push_back(where + " uses 'label', which would give the answer away");
    return;
  }
  if (spec.splits.empty()) return;  // said already
  const std::vector<std::string> known = Fields(spec.splits[0]);
  if (std::find(known.begin(), known.end(), field) == known.end()) {
    problems.push_back(StrCat(where, " names the field ", Quoted(field), DidYouMean(field, known),
                              "; columns has ", QuotedList(known)));
  }
}

void CheckInputs(const TaskSpec& spec, Problems& problems) {
  if (spec.inputs.empty() && spec.prompt.empty()) {
    problems.push_back("neither inputs (for encoders) nor prompt (for text-to-text) is given");
  }
  if (spec.inputs.size() > 2) {
    problems.push_back(StrCat("inputs has ", spec.inputs.size(), " fields; expected one or two"));
  }
  for (const std::string& field : spec.inputs) CheckField(spec, "inputs", field, problems);
  try {
    bool has_field = spec.prompt.empty();
    for (const PromptPart& part : ParsePrompt(spec.prompt)) {
      has_field = has_field || part.is_field;
      if (part.is_field) CheckField(spec, "prompt", part.text, problems);
    }
    if (!has_field) problems.push_back("prompt has no {field}: it would be the same everywhere");
  } catch (const Error& error) {
    problems.push_back(StrCat("prompt: ", error.what()));
  }
}

void CheckLabels(const TaskSpec& spec, Problems& problems) {
  if (spec.labels.size() < 2) {
    problems.push_back(StrCat("labels has ", spec.labels.size(), "; expected at least two"));
  }
  std::set<std::string> values, words;
  for (const Label& label : spec.labels) {
    if (!values.insert(label.value).second) {
      problems.push_back(StrCat("labels: the value ", Quoted(label.value), " is there twice"));
    }
    if (!label.word.empty() && !words.insert(label.word).second) {
      problems.push_back(StrCat("labels: the word ", Quoted(label.word), " is there twice"));
    }
    if (label.word.empty() && !spec.prompt.empty()) {
      problems.push_back(StrCat("labels: ", Quoted(label.value),
                                " has no word, which a task with a prompt needs"));
    }
  }
}

TaskSpec ParseTaskSpec(const Json& json, const std::filesystem::path& path) {
  const JsonObject object(json, path.string());
  Problems problems;
  TaskSpec spec;
  spec.directory = path.parent_path();
  spec.name = object.GetString("name");
  spec.description = object.GetString("description", "");
  spec.format = ParseFormat(object, problems);
  spec.splits = ParseSplits(object.GetObject("splits"));
  if (object.Has("inputs")) spec.inputs = object.GetStrings("inputs");
  spec.prompt = object.GetString("prompt", "");
  for (const JsonObject& label : object.GetObjects("labels")) {
    spec.labels.push_back({label.GetString("value"), label.GetString("word", "")});
    label.RefuseUnknownKeys();
  }
  spec.max_tokens = object.GetInt("max_tokens", kMinTokens, kMaxTokens, spec.max_tokens);
  spec.metric = object.GetString("metric", spec.metric);
  object.RefuseUnknownKeys();

  if (spec.name.empty()) problems.push_back("name is ''");
  if (std::find(kMetrics.begin(), kMetrics.end(), spec.metric) == kMetrics.end()) {
    problems.push_back(
        StrCat("metric is ", Quoted(spec.metric), "; expected one of ", Join(kMetrics)));
  }
  CheckSplits(spec, problems);
  CheckInputs(spec, problems);
  CheckLabels(spec, problems);
  if (problems.size() == 1) throw UsageError(path, ": ", problems[0]);
  if (!problems.empty()) {
    throw UsageError(path, ": ", problems.size(), " problems:\n  ", Join(problems, "\n  "));
  }
  return spec;
}

}  // namespace

const DataSplit& TaskSpec::GetSplit(const std::string& split_name) const {
  std::vector<std::string> names;
  for (const DataSplit& split : splits) {
    if (split.name == split_name) return split;
    names.push_back(split.name);
  }
  throw UsageError("task ", Quoted(name), " has no split ", Quoted(split_name),
                   DidYouMean(split_name, names), "; it has ", Join(names));
}

TaskSpec ReadTaskSpec(const std::filesystem::path& path) {
  try {
    return ParseTaskSpec(ReadJsonFile(path), path);
  } catch (const Error& error) {
    // To the user a task file is configuration, whatever the reader below thinks.
    if (error.kind() == ErrorKind::kInput) throw Error(ErrorKind::kUsage, error.what());
    throw;
  }
}

}  // namespace moefy::task
