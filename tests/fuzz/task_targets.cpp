#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "task/cell_value.h"
#include "task/row_reader.h"

namespace moefy::fuzz {

// Rows of a data file and what their cells mean; the first byte chooses the format.
void DataRows(std::span<const std::byte> input) {
  constexpr task::DataFormat kFormats[] = {task::DataFormat::kTsv, task::DataFormat::kCsv,
                                           task::DataFormat::kJsonl};
  const std::string_view all = AsText(input);
  if (all.empty()) return;
  const std::string_view text = all.substr(1);
  const bool is_parallel = all[0] == 'p';  // then each half is the file of a field
  if (is_parallel && text.empty()) return;
  const task::DataFormat format =
      is_parallel ? task::DataFormat::kParallel : kFormats[static_cast<unsigned char>(all[0]) % 3];
  std::vector<std::string_view> texts = {text};
  if (is_parallel) texts = {text.substr(0, text.size() / 2), text.substr(text.size() / 2)};
  Refusable([&] {
    const auto reader =
        task::MakeRowReader(format, texts, {{"label", "a", false}, {"choices", "b", true}});
    size_t num_rows = 0;
    for (task::TableRow record; reader->Next(record);) {
      if (++num_rows > text.size()) __builtin_trap();  // every row takes a byte at least
      if (!record.problems.empty()) continue;
      if (record.cells.size() != 2) __builtin_trap();
      Refusable([&] { task::ReadAnswers(record.cells[1]); });
      Refusable([&] {
        const task::ChoiceList choices = task::ReadChoices(record.cells[1]);
        if (choices.texts.empty()) return;
        if (task::FindChoice(choices, record.cells[0]) >= choices.texts.size()) __builtin_trap();
      });
    }
  });
}

}  // namespace moefy::fuzz
