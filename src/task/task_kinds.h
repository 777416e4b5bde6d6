// Tables of the kinds of tasks and of the formats of data: what each kind may measure, which field
// of its examples is the answer, and which fields a document gives. Values, thread-safe.
#pragma once

#include <string>
#include <vector>

#include "task/task_spec.h"

namespace moefy::task {

struct KindRow {
  TaskKind kind;
  const char* name;                  // "kind" in a task file
  std::vector<std::string> metrics;  // the first is the default
  const char* answer;                // the field that holds the answer; "" if there is none
  bool has_labels;                   // the answer is one of the task's labels
};

struct FormatRow {
  DataFormat format;
  const char* name;
  // A document holds one kind of task and gives the fields named here. A table holds examples of
  // any kind, and the task file's "columns" names its fields.
  bool is_table;
  TaskKind kind;
  std::vector<std::string> fields;
};

// A key of the task file that only some kinds have.
struct KindKeyRow {
  const char* key;
  std::vector<TaskKind> kinds;
};

const std::vector<KindKeyRow>& KindKeys();
const std::vector<KindRow>& Kinds();
const std::vector<FormatRow>& Formats();
const KindRow& GetKind(TaskKind kind);
const FormatRow& GetFormat(DataFormat format);

}  // namespace moefy::task
