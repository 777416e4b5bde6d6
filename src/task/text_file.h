// Texts out of a file, as --text takes them. Pure but for reading the file, thread-safe.
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

// A text a line; or, where the name says JSON (.jsonl, .ndjson, .json), the key `field` of an
// object a line or of an array of objects (moefy/base/json_rows.h). Empty lines are skipped,
// `limit` > 0 keeps the first texts. Error{kInput} with file and line: not UTF-8 (with the byte),
// not JSON, no such key, and when there is no text at all.
std::vector<FileText> ReadTexts(const std::filesystem::path& path, const std::string& field,
                                int64_t limit = 0);

// Without a byte order mark of UTF-8; Error{kInput} for one of UTF-16.
std::string_view WithoutByteOrderMark(std::string_view text);

}  // namespace moefy::task
