// Rows of a file of JSON in every layout that people export: an object a line (JSON lines), objects
// one after the other, one array of objects, or one object whose "data" is such an array. Each row
// is parsed when its turn comes, so a bad row costs itself alone.
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/json.h"

namespace moefy {

struct JsonRow {
  int64_t line = 0;       // where it begins, counted from 1
  Json value;             // an object, unless there is a problem
  std::string problem;    // "not valid JSON at column 14: ...", "is empty"; "" for none
  bool is_empty = false;  // nothing stands on the line
};

class JsonRows {
 public:
  // `text` is UTF-8 without a byte order mark and must outlive this.
  explicit JsonRows(std::string_view text);
  bool Next(JsonRow& row);  // false at the end

 private:
  enum class Layout { kLines, kValues, kList };

  void FindLayout();
  size_t FindData(size_t object_begin) const;
  bool Cut(std::string_view& row, JsonRow& out);
  bool CutOfList(std::string_view& row, JsonRow& out);
  size_t SkipSpace(size_t at) const;
  void GoTo(size_t at);

  std::string_view text_;
  Layout layout_ = Layout::kLines;
  bool in_object_ = false;  // the list is a member of an object: more may come after it
  int64_t num_rows_ = 0;    // of the list so far
  size_t at_ = 0;
  int64_t line_ = 1;  // of at_
};

// Whether the name says that a file is JSON: .jsonl, .ndjson or .json, in any case.
bool HasJsonName(const std::filesystem::path& path);

}  // namespace moefy
