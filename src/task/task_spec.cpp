#include "task/task_spec.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/problems.h"
#include "moefy/base/error.h"
#include "task/check_task_spec.h"
#include "task/task_kinds.h"

namespace moefy::task {
namespace {

constexpr int64_t kMinTokens = 4;  // room for a pair's special tokens and one more
constexpr int64_t kMaxTokens = 1 << 20;

// The row of a table that has the name in `key`; the first row after adding to `problems`.
template <typename Row>
const Row& FindRow(const std::vector<Row>& rows, const std::string& key, const std::string& name,
                   Problems& problems) {
  std::vector<std::string> names;
  for (const Row& row : rows) {
    if (name == row.name) return row;
    names.push_back(row.name);
  }
  problems.Add(key, " is ", Quoted(name), "; expected one of ", Join(names));
  return rows[0];
}

std::vector<DataSplit> ParseSplits(const JsonObject& splits, bool is_table) {
  std::vector<DataSplit> out;
  for (const std::string& name : splits.Keys()) {
    const JsonObject object = splits.GetObject(name);
    DataSplit split{.name = name, .file = object.GetString("file"), .columns = {}};
    if (is_table || object.Has("columns")) {
      const JsonObject columns = object.GetObject("columns");
      for (const std::string& field : columns.Keys()) {
        split.columns[field] = columns.GetString(field);
      }
    }
    object.RefuseUnknownKeys();
    out.push_back(std::move(split));
  }
  return out;
}

TaskSpec ParseTaskSpec(const Json& json, const std::filesystem::path& path) {
  const JsonObject object(json, path.string());
  Problems problems;
  TaskSpec spec;
  spec.file = path;
  spec.directory = path.parent_path();
  spec.name = object.GetString("name");
  spec.description = object.GetString("description", "");
  const KindRow& kind =
      FindRow(Kinds(), "kind", object.GetString("kind", Kinds()[0].name), problems);
  const FormatRow& format = FindRow(Formats(), "format", object.GetString("format"), problems);
  spec.kind = kind.kind;
  spec.format = format.format;
  spec.splits = ParseSplits(object.GetObject("splits"), format.is_table);
  if (object.Has("header")) spec.header = object.GetStrings("header");
  spec.separator = object.GetString("separator", "");
  if (object.Has("choices")) spec.choices = object.GetStrings("choices");
  if (object.Has("inputs")) spec.inputs = object.GetStrings("inputs");
  spec.prompt = object.GetString("prompt", "");
  spec.continuation = object.GetString("continuation", "");
  if ((kind.has_labels && format.is_table && !HasChoiceList(spec)) || object.Has("labels")) {
    for (const JsonObject& label : object.GetObjects("labels")) {
      spec.labels.push_back({label.GetString("value"), label.GetString("word", "")});
      label.RefuseUnknownKeys();
    }
  }
  spec.source_language = object.GetString("source_language", "");
  spec.target_language = object.GetString("target_language", "");
  spec.max_tokens = object.GetInt("max_tokens", kMinTokens, kMaxTokens, spec.max_tokens);
  spec.metric = object.GetString("metric", kind.metrics[0]);
  spec.answer_by_letter = object.GetBool("answer_by_letter", false);
  spec.length_normalized = object.GetBool("length_normalized", false);
  spec.max_new_tokens = object.GetInt("max_new_tokens", 1, kMaxTokens, spec.max_new_tokens);
  spec.stop = object.GetString("stop", "");
  spec.stride = object.GetInt("stride", 1, kMaxTokens, 0);
  spec.no_answer = object.GetBool("no_answer", false);
  spec.mask_every = object.GetInt("mask_every", 2, kMaxTokens, 0);
  object.RefuseUnknownKeys();

  for (const auto& [key, kinds] : KindKeys()) {
    if (object.Has(key) && std::find(kinds.begin(), kinds.end(), kind.kind) == kinds.end()) {
      problems.Add(key, " is not for ", kind.name);
    }
  }
  CheckTaskSpec(spec, problems);
  WithContext(path.string(), [&] { problems.ThrowIfAny(ErrorKind::kUsage); });
  return spec;
}

}  // namespace

std::vector<std::filesystem::path> DataSplit::Files(DataFormat format) const {
  if (format != DataFormat::kParallel) return {file};
  std::vector<std::filesystem::path> files;
  for (const auto& [field, column] : columns) files.emplace_back(StrCat(file, ".", column));
  return files;
}

const DataSplit& TaskSpec::GetSplit(const std::string& split_name) const {
  std::vector<std::string> names;
  for (const DataSplit& split : splits) {
    if (split.name == split_name) return split;
    names.push_back(split.name);
  }
  throw UsageError("task ", Quoted(name), " has no split ", Quoted(split_name),
                   DidYouMean(split_name, names), "; it has ", Join(names));
}

std::vector<std::string> MetricNames(const TaskSpec& spec) {
  std::vector<std::string> names = {spec.metric};
  for (const std::string& name : GetKind(spec.kind).metrics) {
    if (name != spec.metric) names.push_back(name);
  }
  return names;
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
