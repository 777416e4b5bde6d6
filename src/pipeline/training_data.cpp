#include "pipeline/training_data.h"

#include <algorithm>

#include "base/options.h"
#include "moefy/base/error.h"

namespace moefy::pipeline {
namespace {

// Holds out the last tenth of a text, which begins with a whole line if the text has lines, and of
// that at most so many windows, and a tenth of the windows that are asked for.
TrainingData CutText(const task::Dataset& dataset, int64_t held_out) {
  const std::string& text = dataset.examples.front().fields.at("text");
  const size_t middle = text.size() - text.size() / 10;
  const size_t line = text.find('\n', middle);
  const size_t cut = line == std::string::npos ? middle : line;
  TrainingData data{dataset, dataset};
  data.train.examples.front().fields["text"] = text.substr(0, cut);
  data.held_out.examples.front().fields["text"] = text.substr(cut);
  data.held_out.max_windows = held_out;
  if (const int64_t asked = dataset.max_windows; asked > 0) {
    data.held_out.max_windows = std::min(held_out, std::max<int64_t>(1, asked / 10));
  }
  return data;
}

}  // namespace

TrainingData HoldOut(const task::TaskSpec& spec, task::Dataset dataset, int64_t held_out) {
  RequireOption(held_out >= 1, "held-out", held_out, "at least 1");
  const auto total = static_cast<int64_t>(dataset.examples.size());
  if (task::IsOnlyText(spec.kind) && total == 1) return CutText(dataset, held_out);
  const int64_t count = std::min(held_out, total / 10);
  if (count < 1) {
    throw InputError(dataset.files.front(), " has ", total,
                     " examples; training needs at least 10, because "
                     "a tenth is held out");
  }
  TrainingData data;
  data.train.files = data.held_out.files = dataset.files;
  for (int64_t i = 0, taken = 0; i < total; ++i) {
    // Holds out the middle of each of `count` equal parts.
    const bool hold = taken < count && i == (2 * taken + 1) * total / (2 * count);
    taken += hold ? 1 : 0;
    (hold ? data.held_out : data.train)
        .examples.push_back(std::move(dataset.examples[static_cast<size_t>(i)]));
  }
  return data;
}

}  // namespace moefy::pipeline
