// The rows of a data file, whatever its format. A row reports its own mistakes, so that reading can
// go on and find more of them. Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "task/task_spec.h"

namespace moefy::task {

// A cell that is wanted of each row: the task's field, and the file's column that holds it.
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
  virtual bool Next(TableRow& row) = 0;  // false at the end
};

struct TableOptions {
  std::vector<std::string> header = {};  // names of the columns; empty: the first line has them
  char separator = ',';                  // of CSV
};

// A reader of any format that has rows: TSV and CSV (task/table_reader.h), JSONL, which is objects
// in any of the layouts of base/json_rows.h, and parallel text (task/parallel_reader.h), which
// alone has several `texts`, one for each of `wanted`. They are UTF-8 and must outlive the reader.
// Throws Error{kInput} for a table whose header lacks a wanted column.
std::unique_ptr<RowReader> MakeRowReader(DataFormat format, std::vector<std::string_view> texts,
                                         std::vector<WantedColumn> wanted,
                                         TableOptions options = {});

}  // namespace moefy::task
