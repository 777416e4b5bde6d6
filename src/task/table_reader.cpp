#include "task/table_reader.h"

#include <algorithm>
#include <utility>

#include "moefy/base/error.h"

namespace moefy::task {
namespace {

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
  int64_t number() const { return number_; }  // the line last taken, from 1

 private:
  std::string_view rest_;
  int64_t number_ = 0;
};

// Rows of cells under a header that names them.
class TableReader : public RowReader {
 public:
  bool Next(TableRow& row) final {
    row = {};
    std::vector<std::string> cells;
    if (!NextRow(row.line, cells, row.problems)) return false;
    if (!row.problems.empty()) return true;
    if (cells.size() != num_columns_) {
      row.problems.push_back(CountProblem(cells));
      return true;
    }
    for (const size_t place : places_) row.cells.push_back({std::move(cells[place]), {}});
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
    std::vector<std::string> trimmed;  // "sentence, label" has a space before its second name
    for (const std::string& name : header) trimmed.push_back(Trim(name));
    for (const WantedColumn& wanted : wanted_) {
      const auto& names = Count(header, wanted.column) == 0 ? trimmed : header;
      const auto count = Count(names, wanted.column);
      if (count == 1) {
        places_.push_back(static_cast<size_t>(std::find(names.begin(), names.end(), wanted.column) -
                                              names.begin()));
      } else {
        problems.push_back(StrCat("field ", Quoted(wanted.field), ": ", count,
                                  " columns are named ", Quoted(wanted.column),
                                  DidYouMean(wanted.column, header)));
      }
    }
    if (!problems.empty()) {
      throw InputError("line ", std::max<int64_t>(1, line), ": ", Join(problems, "; "),
                       "; the header has ", Join(quoted), OtherSeparator(header));
    }
    num_columns_ = header.size();
  }

  // The cells of the next row and the line it begins on; a row that cannot be cut has problems.
  virtual bool NextRow(int64_t& line, std::vector<std::string>& cells,
                       std::vector<std::string>& problems) = 0;

 private:
  static std::ptrdiff_t Count(const std::vector<std::string>& names, const std::string& name) {
    return std::count(names.begin(), names.end(), name);
  }

  // Warns of a header that has one name and in it what separates columns elsewhere.
  static std::string OtherSeparator(const std::vector<std::string>& header) {
    if (header.size() != 1) return "";
    constexpr std::pair<char, const char*> kSeparators[] = {
        {';', "\"format\": \"csv\" and \"separator\": \";\""},
        {'|', "\"format\": \"csv\" and \"separator\": \"|\""},
        {'\t', "\"format\": \"tsv\""},
        {',', "\"format\": \"csv\""}};
    for (const auto& [separator, keys] : kSeparators) {
      if (header[0].find(separator) == std::string::npos) continue;
      return StrCat("; ", Quoted(std::string(1, separator)),
                    " seems to stand between the columns, for which the task file has ", keys);
    }
    return "";
  }

  std::string CountProblem(const std::vector<std::string>& cells) const {
    if (cells.size() == 1 && cells[0].empty()) return "is empty";
    const bool ends_with_one = cells.size() == num_columns_ + 1 && cells.back().empty();
    return StrCat("has ", cells.size(), " columns; the header has ", num_columns_,
                  ends_with_one ? "; a separator stands at the end of the line" : "");
  }

  std::vector<WantedColumn> wanted_;
  std::vector<size_t> places_;  // of each wanted column
  size_t num_columns_ = 0;
};

class TsvReader final : public TableReader {
 public:
  TsvReader(std::string_view text, std::vector<WantedColumn> wanted, TableOptions options)
      : TableReader(std::move(wanted)), lines_(text) {
    ReadHeader(std::move(options.header));
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
  CsvReader(std::string_view text, std::vector<WantedColumn> wanted, TableOptions options)
      : TableReader(std::move(wanted)), text_(text), separator_(options.separator) {
    // What Excel writes, and takes, before the header: "sep=;".
    if (text_.starts_with("sep=") && text_.size() > 5 && (text_[5] == '\n' || text_[5] == '\r')) {
      separator_ = text_[4];
      SkipLine();
    }
    ReadHeader(std::move(options.header));
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
      if (!Peek(separator_)) break;
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
    while (!AtRowEnd() && !Peek(separator_)) {
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
        if (AtRowEnd() || Peek(separator_)) return true;
        problems.push_back("text after a closing quote");
        return false;
      }
    }
    problems.push_back("a quote is not closed before the end of the file");
    return false;
  }

  std::string_view text_;
  char separator_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

std::unique_ptr<RowReader> MakeTsvReader(std::string_view text, std::vector<WantedColumn> wanted,
                                         TableOptions options) {
  return std::make_unique<TsvReader>(text, std::move(wanted), std::move(options));
}

std::unique_ptr<RowReader> MakeCsvReader(std::string_view text, std::vector<WantedColumn> wanted,
                                         TableOptions options) {
  return std::make_unique<CsvReader>(text, std::move(wanted), std::move(options));
}

}  // namespace moefy::task
