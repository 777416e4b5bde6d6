#include "task/parallel_reader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "moefy/base/error.h"

namespace moefy::task {
namespace {

class ParallelReader final : public RowReader {
 public:
  explicit ParallelReader(std::vector<std::string_view> texts) : rest_(std::move(texts)) {}

  bool Next(TableRow& row) override {
    if (at_end_) return false;
    row = {};
    row.line = ++line_;
    for (std::string_view& rest : rest_) {
      const size_t end = rest.find('\n');
      std::string_view line = rest.substr(0, end);
      at_end_ = end == std::string_view::npos;
      rest.remove_prefix(at_end_ ? rest.size() : end + 1);
      if (line.ends_with('\r')) line.remove_suffix(1);
      row.cells.push_back({std::string(line), {}});
    }
    return true;
  }

 private:
  std::vector<std::string_view> rest_;  // after the lines that were read
  int64_t line_ = 0;
  bool at_end_ = false;
};

}  // namespace

std::unique_ptr<RowReader> MakeParallelReader(std::vector<std::string_view> texts,
                                              const std::vector<WantedColumn>& wanted) {
  MOEFY_CHECK(!texts.empty() && texts.size() == wanted.size());
  std::vector<std::string> counts;
  bool differ = false;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto lines = std::ranges::count(texts[i], '\n') + 1;
    differ = differ || lines != std::ranges::count(texts[0], '\n') + 1;
    counts.push_back(
        StrCat(lines, " of field ", Quoted(wanted[i].field), " (.", wanted[i].column, ")"));
  }
  if (differ) {
    throw InputError("the files have different numbers of lines: ", Join(counts),
                     "; line i of each belongs to example i");
  }
  return std::make_unique<ParallelReader>(std::move(texts));
}

}  // namespace moefy::task
