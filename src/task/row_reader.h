// Rows of a data file, whatever its format. A row's own mistakes are reported with the row, so that
// reading can go on and more of them be found. Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "moefy/base/json.h"
#include "task/task_spec.h"

namespace moefy::task {

// What is wanted of each row: the task's field and the file's column it lies in.
struct WantedColumn {
  std::string field;
  std::string column;
  bool takes_lists = false;  // of JSON: an array or an object will do as well
};

struct Cell {
  std::string text;
  Json value;              // an array or an object; null where there is a text
  bool is_number = false;  // of JSON: written without quotes
};

struct TableRow {
  int64_t line = 0;                   // where it begins, counted from 1
  std::vector<Cell> cells;            // one per wanted column, in that order
  std::vector<std::string> problems;  // when not empty, `cells` is not to be used
};

class RowReader {
 public:
  virtual ~RowReader() = default;
  virtual bool Next(TableRow& record) = 0;  // false at the end
};

struct TableOptions {
  std::vector<std::string> header = {};  // names of the columns; empty: the first line has them
  char separator = ',';                  // of CSV
};

// `text` is UTF-8 and must outlive the reader. Formats with a header (TSV, CSV) throw Error{kInput}
// here when a wanted column is missing or there twice.
//   TSV: no quoting, as in GLUE.  CSV: RFC 4180, with any separator, and Excel's line "sep=;".
//   JSONL: objects, in any of the layouts of moefy/base/json_rows.h.
std::unique_ptr<RowReader> MakeRecordReader(DataFormat format, std::string_view text,
                                            std::vector<WantedColumn> wanted,
                                            TableOptions options = {});
std::unique_ptr<RowReader> MakeTsvReader(std::string_view text, std::vector<WantedColumn> wanted,
                                         TableOptions options);
std::unique_ptr<RowReader> MakeCsvReader(std::string_view text, std::vector<WantedColumn> wanted,
                                         TableOptions options);

}  // namespace moefy::task
