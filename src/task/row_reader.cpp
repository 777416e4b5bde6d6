#include "task/row_reader.h"

#include <utility>

#include "base/json_rows.h"
#include "moefy/base/error.h"
#include "task/parallel_reader.h"
#include "task/table_reader.h"

namespace moefy::task {
namespace {

std::string FieldProblem(const WantedColumn& wanted, std::string_view what) {
  std::string where = "field " + Quoted(wanted.field);
  if (wanted.column != wanted.field) where += " (column " + Quoted(wanted.column) + ")";
  return StrCat(where, ": ", what);
}

class JsonReader final : public RowReader {
 public:
  JsonReader(std::string_view text, std::vector<WantedColumn> wanted)
      : wanted_(std::move(wanted)), rows_(text) {}

  bool Next(TableRow& record) override {
    JsonRow row;
    if (!rows_.Next(row)) return false;
    record = {};
    record.line = row.line;
    if (row.problem.empty()) {
      Take(row.value, record);
    } else {
      record.problems.push_back(std::move(row.problem));
    }
    return true;
  }

 private:
  void Take(Json& json, TableRow& record) const {
    std::vector<std::string> keys;
    for (const auto& [key, value] : json.items()) keys.push_back(key);
    for (const WantedColumn& wanted : wanted_) {
      const auto found = json.find(wanted.column);
      if (found == json.end()) {
        record.problems.push_back(
            FieldProblem(wanted, "missing" + DidYouMean(wanted.column, keys)));
      } else if (found->is_string()) {
        record.cells.push_back({found->get<std::string>(), {}});
      } else if (found->is_number() || found->is_boolean()) {
        record.cells.push_back({found->dump(), {}, found->is_number()});
      } else if (wanted.takes_lists && found->is_structured()) {
        record.cells.push_back({"", std::move(*found)});
      } else {
        record.problems.push_back(FieldProblem(
            wanted, StrCat("is ", found->type_name(), "; expected a string or a number",
                           wanted.takes_lists ? ", or a list of them" : "")));
      }
    }
  }

  std::vector<WantedColumn> wanted_;
  JsonRows rows_;
};

}  // namespace

std::unique_ptr<RowReader> MakeRowReader(DataFormat format, std::vector<std::string_view> texts,
                                         std::vector<WantedColumn> wanted, TableOptions options) {
  switch (format) {
    case DataFormat::kTsv:
      return MakeTsvReader(texts.front(), std::move(wanted), std::move(options));
    case DataFormat::kCsv:
      return MakeCsvReader(texts.front(), std::move(wanted), std::move(options));
    case DataFormat::kJsonl:
      return std::make_unique<JsonReader>(texts.front(), std::move(wanted));
    case DataFormat::kParallel:
      return MakeParallelReader(std::move(texts), wanted);
    default:
      ThrowBug("a document is no table", __FILE__, __LINE__);
  }
}

}  // namespace moefy::task
