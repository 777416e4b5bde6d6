// Reads texts out of a file, as --text takes them. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace moefy::task {

struct FileText {
  std::string text;
  int64_t line = 0;  // where it begins, counted from 1
};

// Each line is a text; if the name says JSON (.jsonl, .ndjson, .json), the key `field` of each
// object is one (base/json_rows.h). Empty lines are skipped, and `limit` > 0 keeps the first texts.
// Throws Error{kInput} with file and line for what is not UTF-8 (with the byte) or not JSON, for an
// object without the key, and for a file without text.
std::vector<FileText> ReadTexts(const std::filesystem::path& path, const std::string& field,
                                int64_t limit = 0);

// The text without a byte order mark of UTF-8. Error{kInput} for a mark of UTF-16.
std::string_view WithoutByteOrderMark(std::string_view text);

}  // namespace moefy::task
