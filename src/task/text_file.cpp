#include "task/text_file.h"

#include "base/json_rows.h"
#include "base/output.h"
#include "base/utf8.h"
#include "moefy/base/error.h"

namespace moefy::task {
namespace {

std::string GetText(const Json& row, const std::string& field) {
  const auto found = row.find(field);
  std::vector<std::string> keys;
  for (const auto& [key, value] : row.items()) keys.push_back(key);
  if (found == row.end()) {
    throw InputError("no key ", Quoted(field), DidYouMean(field, keys), "; there is ", Join(keys),
                     " (--field says which holds the text)");
  }
  if (found->is_string()) return found->get<std::string>();
  throw InputError("key ", Quoted(field), " is ", found->type_name(), "; expected a string");
}

std::vector<FileText> JsonTexts(std::string_view text, const std::string& field, int64_t limit) {
  std::vector<FileText> texts;
  JsonRows rows(text);
  JsonRow row;
  while ((limit == 0 || static_cast<int64_t>(texts.size()) < limit) && rows.Next(row)) {
    if (row.is_empty) continue;
    WithContext(StrCat("line ", row.line), [&] {
      if (!row.problem.empty()) throw InputError(row.problem);
      std::string of_row = GetText(row.value, field);
      if (!Trim(of_row).empty()) texts.push_back({std::move(of_row), row.line});
    });
  }
  return texts;
}

std::vector<FileText> Lines(std::string_view text, int64_t limit) {
  std::vector<FileText> texts;
  int64_t line_number = 0;
  for (std::string& line : Split(text, '\n')) {
    ++line_number;
    if (limit > 0 && static_cast<int64_t>(texts.size()) == limit) break;
    if (!Trim(line).empty()) texts.push_back({std::move(line), line_number});
  }
  return texts;
}

}  // namespace

std::string_view WithoutByteOrderMark(std::string_view text) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) RequireUtf8(text);
  return text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text;
}

std::vector<FileText> ReadTexts(const std::filesystem::path& path, const std::string& field,
                                int64_t limit) {
  const std::string text = ReadTextFile(path);
  return WithContext(path.string(), [&] {
    const std::string_view body = WithoutByteOrderMark(text);
    RequireUtf8(body);
    std::vector<FileText> texts =
        HasJsonName(path) ? JsonTexts(body, field, limit) : Lines(body, limit);
    if (texts.empty()) throw InputError("no text in it");
    return texts;
  });
}

}  // namespace moefy::task
