#include "base/json_rows.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/utf8.h"
#include "moefy/base/error.h"

namespace moefy {
namespace {

constexpr size_t kNone = std::string_view::npos;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The place behind the string that begins at `at`, or kNone.
size_t StringEnd(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at + 1;
    }
  }
  return kNone;
}

// The place behind the value that begins at `at`, found by brackets and strings alone, or kNone
// where they are not closed. The parser says what is wrong inside.
size_t ValueEnd(std::string_view text, size_t at) {
  int64_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = StringEnd(text, at);
      if (at == kNone || depth == 0) return at;
      continue;
    }
    if (depth == 0 && (IsSpace(c) || c == ',' || c == ']' || c == '}')) return at;
    depth += c == '{' || c == '[';
    depth -= c == '}' || c == ']';
    ++at;
    if (depth == 0 && (c == '}' || c == ']')) return at;
  }
  return depth == 0 ? at : kNone;
}

// Names what people write that is nearly JSON, by what the parser says of it.
struct Slip {
  const char* parser_says;
  const char* row_has;
  const char* hint;
};
constexpr Slip kSlips[] = {
    {"invalid literal", "NaN", "NaN is no JSON, though Python writes it; null is"},
    {"invalid", "Infinity", "Infinity is no JSON, though Python writes it; null is"},
    {"surrogate", "\\u", "half of a surrogate pair: the text was cut inside a character"},
    {"", "{'", "JSON has double quotes; this looks like a Python dictionary"},
};

std::string Hint(std::string_view row, const std::string& problem) {
  if (row.ends_with(',')) return "; JSON lines have no commas between them, an array has";
  for (const Slip& slip : kSlips) {
    if (problem.find(slip.parser_says) != kNone && row.find(slip.row_has) != kNone) {
      return StrCat("; ", slip.hint);
    }
  }
  return "";
}

// The parser counts lines from the row's first; people count them in the file.
std::string InFile(std::string problem, int64_t first_line) {
  constexpr std::string_view kAt = "at line ";
  const size_t begin = problem.find(kAt);
  if (begin == kNone) return problem;
  int64_t line = 0;
  const char* digits = problem.data() + begin + kAt.size();
  const auto [end, code] = std::from_chars(digits, problem.data() + problem.size(), line);
  if (code != std::errc()) return problem;
  const auto rest = static_cast<size_t>(end - problem.data());
  if (line == 1) return problem.substr(0, begin) + "at" + problem.substr(rest + 1);
  return StrCat(problem.substr(0, begin), kAt, first_line + line - 1, problem.substr(rest));
}

}  // namespace

JsonRows::JsonRows(std::string_view text) : text_(text) { FindLayout(); }

size_t JsonRows::SkipSpace(size_t at) const {
  while (at < text_.size() && IsSpace(text_[at])) ++at;
  return at;
}

void JsonRows::GoTo(size_t at) {
  line_ += std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                      text_.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  at_ = at;
}

// The place of the list of objects that an object has as its member "data", or kNone.
size_t JsonRows::FindData(size_t object_begin) const {
  for (size_t at = SkipSpace(object_begin + 1); at < text_.size() && text_[at] == '"';) {
    const size_t key_end = StringEnd(text_, at);
    if (key_end == kNone) return kNone;
    const std::string_view key = text_.substr(at, key_end - at);
    const size_t value = SkipSpace(SkipSpace(key_end) + 1);  // moves behind the colon
    if (value >= text_.size()) return kNone;
    if (key == "\"data\"" && text_[value] == '[') {
      const size_t first = SkipSpace(value + 1);
      return first < text_.size() && (text_[first] == '{' || text_[first] == ']') ? value : kNone;
    }
    const size_t end = ValueEnd(text_, value);
    if (end == kNone) return kNone;
    at = SkipSpace(SkipSpace(end) + 1);  // moves behind the comma
  }
  return kNone;
}

void JsonRows::FindLayout() {
  const size_t begin = SkipSpace(0);
  if (begin == text_.size()) return;
  if (text_[begin] == '[') {
    layout_ = Layout::kList;
    GoTo(begin + 1);
    return;
  }
  const size_t end = text_[begin] == '{' ? ValueEnd(text_, begin) : kNone;
  if (end == kNone) return;
  const size_t data = SkipSpace(end) == text_.size() ? FindData(begin) : kNone;
  if (data != kNone) {
    layout_ = Layout::kList;
    in_object_ = true;
    GoTo(data + 1);
  } else if (text_.substr(begin, end - begin).find('\n') != kNone) {
    layout_ = Layout::kValues;
  }
}

// Finds the next row's text. The problem of a row that cannot be cut goes into `out`.
bool JsonRows::Cut(std::string_view& row, JsonRow& out) {
  if (layout_ == Layout::kList) return CutOfList(row, out);
  if (layout_ == Layout::kValues) GoTo(SkipSpace(at_));
  if (at_ >= text_.size()) return false;
  out.line = line_;
  size_t end = layout_ == Layout::kValues ? ValueEnd(text_, at_) : text_.find('\n', at_);
  if (end == at_ && layout_ == Layout::kValues) ++end;  // a comma or a bracket between values
  end = std::min(end, text_.size());
  row = text_.substr(at_, end - at_);
  GoTo(layout_ == Layout::kLines ? std::min(end + 1, text_.size()) : end);
  if (row.ends_with('\r')) row.remove_suffix(1);
  return true;
}

// Does the same for a list, whose rows stand between commas.
bool JsonRows::CutOfList(std::string_view& row, JsonRow& out) {
  GoTo(SkipSpace(at_));
  out.line = line_;
  const auto finds = [&](char c) { return at_ < text_.size() && text_[at_] == c; };
  const auto stop = [&](std::string problem) {
    at_ = text_.size();
    layout_ = Layout::kLines;  // the list ends here
    out.problem = std::move(problem);
    return !out.problem.empty();
  };
  if (finds(']')) {
    const bool more = !in_object_ && SkipSpace(at_ + 1) < text_.size();
    return stop(more ? "something stands behind the array" : "");
  }
  if (num_rows_ > 0) {
    if (at_ < text_.size() && !finds(',')) return stop("no comma before this object of the array");
    GoTo(SkipSpace(std::min(at_ + 1, text_.size())));
    if (finds(']')) return stop("a comma stands before the end of the array");
  }
  if (at_ == text_.size()) return stop("the array is not closed before the end of the file");
  out.line = line_;
  const size_t end = ValueEnd(text_, at_);
  if (end == kNone) return stop("this object of the array is not closed");
  if (end == at_) return stop(StrCat("expected an object, found '", text_[at_], "'"));
  row = text_.substr(at_, end - at_);
  GoTo(end);
  ++num_rows_;
  return true;
}

bool JsonRows::Next(JsonRow& row) {
  row = {};
  std::string_view text;
  if (!Cut(text, row)) return false;
  if (!row.problem.empty()) return true;
  if (std::all_of(text.begin(), text.end(), IsSpace)) {
    row.problem = "is empty";
    row.is_empty = true;
    return true;
  }
  if (text.find('\n') == kNone) row.problem = DescribeInvalidUtf8InLine(text);
  if (!row.problem.empty()) return true;
  try {
    row.value = ParseJson(text);
    if (!row.value.is_object()) row.problem = "not a JSON object";
  } catch (const Error& error) {
    row.problem = InFile(error.what(), row.line) + Hint(text, error.what());
  }
  return true;
}

bool HasJsonName(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  });
  constexpr std::array<std::string_view, 3> kNames = {".jsonl", ".ndjson", ".json"};
  return std::find(kNames.begin(), kNames.end(), extension) != kNames.end();
}

}  // namespace moefy
