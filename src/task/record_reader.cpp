#include "task/record_reader.h"

#include <algorithm>
#include <utility>

#include "moefy/base/error.h"
#include "moefy/base/json.h"

namespace moefy::task {
namespace {

std::string FieldProblem(const WantedColumn& wanted, std::string_view what) {
  std::string where = "field " + Quoted(wanted.field);
  if (wanted.column != wanted.field) where += " (column " + Quoted(wanted.column) + ")";
  return StrCat(where, ": ", what);
}

// Takes lines from the front of a text, without "\n" or "\r\n".
class LineCutter {
 public:
  explicit LineCutter(std::string_view text) : rest_(text) {}
  bool Next(std::string_view& line) {
    if (rest_.empty()) return false;
    const size_t end = rest_.find('\n');
    line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number_;
    return true;
  }
  int64_t number() const { return number_; }  // of the line last taken

 private:
  std::string_view rest_;
  int64_t number_ = 0;
};

// Rows of cells under a header that names them.
class TableReader : public RecordReader {
 public:
  bool Next(Record& record) final {
    record = {};
    std::vector<std::string> cells;
    if (!NextRow(record.line, cells, record.problems)) return false;
    if (!record.problems.empty()) return true;
    if (cells.size() != num_columns_) {
      record.problems.push_back(
          cells.size() == 1 && cells[0].empty()
              ? "is empty"
              : StrCat("has ", cells.size(), " columns; the header has ", num_columns_));
      return true;
    }
    for (size_t i = 0; i < wanted_.size(); ++i) {
      std::string& cell = cells[places_[i]];
      if (!IsValidUtf8(cell)) {
        record.problems.push_back(FieldProblem(wanted_[i], "not valid UTF-8"));
      }
      record.cells.push_back(cell);
    }
    return true;
  }

 protected:
  explicit TableReader(std::vector<WantedColumn> wanted) : wanted_(std::move(wanted)) {}

  // Reads the first line unless the names are given.
  void ReadHeader(std::vector<std::string> header) {
    int64_t line = 0;
    std::vector<std::string> problems;
    if (header.empty() && !NextRow(line, header, problems)) throw InputError("has no header");
    std::vector<std::string> quoted;
    for (const std::string& name : header) quoted.push_back(Quoted(name));
    for (const WantedColumn& wanted : wanted_) {
      const auto count = std::count(header.begin(), header.end(), wanted.column);
      if (count == 1) {
        places_.push_back(std::find(header.begin(), header.end(), wanted.column) - header.begin());
      } else {
        problems.push_back(StrCat("field ", Quoted(wanted.field), ": ", count,
                                  " columns are named ", Quoted(wanted.column),
                                  DidYouMean(wanted.column, header)));
      }
    }
    if (!problems.empty()) {
      throw InputError("line 1: ", Join(problems, "; "), "; the header has ", Join(quoted));
    }
    num_columns_ = header.size();
  }

  // The cells of the next row and the line it begins on; a row that cannot be cut has problems.
  virtual bool NextRow(int64_t& line, std::vector<std::string>& cells,
                       std::vector<std::string>& problems) = 0;

 private:
  std::vector<WantedColumn> wanted_;
  std::vector<size_t> places_;  // of each wanted column
  size_t num_columns_ = 0;
};

class TsvReader final : public TableReader {
 public:
  TsvReader(std::string_view text, std::vector<WantedColumn> wanted,
            std::vector<std::string> header)
      : TableReader(std::move(wanted)), lines_(text) {
    ReadHeader(std::move(header));
  }

 protected:
  bool NextRow(int64_t& line, std::vector<std::string>& cells, std::vector<std::string>&) override {
    std::string_view text;
    if (!lines_.Next(text)) return false;
    line = lines_.number();
    cells = Split(text, '\t');
    return true;
  }

 private:
  LineCutter lines_;
};

class CsvReader final : public TableReader {
 public:
  CsvReader(std::string_view text, std::vector<WantedColumn> wanted,
            std::vector<std::string> header)
      : TableReader(std::move(wanted)), text_(text) {
    ReadHeader(std::move(header));
  }

 protected:
  bool NextRow(int64_t& line, std::vector<std::string>& cells,
               std::vector<std::string>& problems) override {
    if (at_ >= text_.size()) return false;
    line = line_;
    for (;;) {
      cells.emplace_back();
      const bool good =
          Peek('"') ? TakeQuoted(cells.back(), problems) : TakePlain(cells.back(), problems);
      if (!good) {
        SkipLine();
        return true;
      }
      if (!Peek(',')) break;
      ++at_;
    }
    SkipLine();
    return true;
  }

 private:
  bool Peek(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool AtRowEnd() const {
    return at_ >= text_.size() || text_[at_] == '\n' || text_.substr(at_, 2) == "\r\n";
  }
  void SkipLine() {
    while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    if (at_ < text_.size()) ++at_;
    ++line_;
  }

  bool TakePlain(std::string& cell, std::vector<std::string>& problems) {
    while (!AtRowEnd() && !Peek(',')) {
      if (Peek('"')) {
        problems.push_back("a quote inside a cell that does not begin with one");
        return false;
      }
      cell += text_[at_++];
    }
    return true;
  }

  bool TakeQuoted(std::string& cell, std::vector<std::string>& problems) {
    for (++at_; at_ < text_.size(); ++at_) {
      if (!Peek('"')) {
        if (Peek('\n')) ++line_;
        cell += text_[at_];
      } else if (text_.substr(at_, 2) == "\"\"") {
        cell += text_[at_++];
      } else {
        ++at_;
        if (AtRowEnd() || Peek(',')) return true;
        problems.push_back("text after a closing quote");
        return false;
      }
    }
    problems.push_back("a quote is not closed before the end of the file");
    return false;
  }

  std::string_view text_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

class JsonlReader final : public RecordReader {
 public:
  JsonlReader(std::string_view text, std::vector<WantedColumn> wanted)
      : wanted_(std::move(wanted)), lines_(text) {}

  bool Next(Record& record) override {
    std::string_view text;
    if (!lines_.Next(text)) return false;
    record = {};
    record.line = lines_.number();
    try {
      Read(text, record);
    } catch (const Error& error) {
      // Positions count from the row's beginning.
      record.problems.push_back(ReplaceAll(error.what(), "at line 1, column", "at column"));
    }
    return true;
  }

 private:
  void Read(std::string_view text, Record& record) const {
    if (text.empty()) throw InputError("is empty");
    const Json json = ParseJson(text);
    if (!json.is_object()) throw InputError("not a JSON object");
    std::vector<std::string> keys;
    for (const auto& [key, value] : json.items()) keys.push_back(key);
    for (const WantedColumn& wanted : wanted_) {
      const auto found = json.find(wanted.column);
      if (found == json.end()) {
        record.problems.push_back(
            FieldProblem(wanted, "missing" + DidYouMean(wanted.column, keys)));
      } else if (found->is_string()) {
        record.cells.push_back(found->get<std::string>());
      } else if (found->is_number() || found->is_boolean()) {
        record.cells.push_back(found->dump());
      } else {
        record.problems.push_back(FieldProblem(
            wanted, StrCat("is ", found->type_name(), "; expected a string or a number")));
      }
    }
  }

  std::vector<WantedColumn> wanted_;
  LineCutter lines_;
};

}  // namespace

std::unique_ptr<RecordReader> MakeRecordReader(DataFormat format, std::string_view text,
                                               std::vector<WantedColumn> wanted,
                                               std::vector<std::string> header) {
  switch (format) {
    case DataFormat::kTsv:
      return std::make_unique<TsvReader>(text, std::move(wanted), std::move(header));
    case DataFormat::kCsv:
      return std::make_unique<CsvReader>(text, std::move(wanted), std::move(header));
    case DataFormat::kJsonl:
      return std::make_unique<JsonlReader>(text, std::move(wanted));
    default:
      ThrowBug("a document is no table", __FILE__, __LINE__);
  }
}

}  // namespace moefy::task
