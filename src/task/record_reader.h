// Rows of a data file, whatever its format. A row's own mistakes are reported with the row, so that
// reading can go on and more of them be found. Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "moefy/task/task_spec.h"

namespace moefy::task {

// What is wanted of each row: the task's field and the file's column it lies in.
struct WantedColumn {
  std::string field;
  std::string column;
};

struct Record {
  int64_t line = 0;                   // where it begins, counted from 1
  std::vector<std::string> cells;     // one per wanted column, in that order
  std::vector<std::string> problems;  // when not empty, `cells` is not to be used
};

class RecordReader {
 public:
  virtual ~RecordReader() = default;
  virtual bool Next(Record& record) = 0;  // false at the end
};

// `text` must outlive the reader. Formats with a header (TSV, CSV) throw Error{kInput} here when a
// wanted column is missing or there twice; `header`, when not empty, names the columns of a file
// whose first line does not.
//   TSV: no quoting, as in GLUE.  CSV: RFC 4180.  JSONL: an object on each line.
std::unique_ptr<RecordReader> MakeRecordReader(DataFormat format, std::string_view text,
                                               std::vector<WantedColumn> wanted,
                                               std::vector<std::string> header = {});

}  // namespace moefy::task
