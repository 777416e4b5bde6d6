// The kinds of tasks as a table: what each may measure, which fields its examples have, and which
// of them are the answer. The formats that are documents come with fields of their own.
// Values, thread-safe.
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
  // Of documents: the one kind of task they hold, and the fields they give. Tables have "columns"
  // and hold examples of any kind.
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
