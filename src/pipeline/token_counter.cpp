#include "pipeline/token_counter.h"

#include <utility>

#include "ask/prepared_task.h"
#include "ask/translation.h"
#include "model/input_check.h"
#include "pipeline/task_data.h"

namespace moefy::pipeline {
namespace {

// A few examples, spread evenly and each cut short, and how many times as much there is in all.
std::pair<task::Dataset, double> TakeSample(const task::Dataset& dataset, int64_t limit) {
  constexpr int64_t kExamples = 64;
  constexpr size_t kBytes = 16384;
  auto total = static_cast<int64_t>(dataset.examples.size());
  if (limit > 0) total = std::min(total, limit);
  const int64_t taken = std::min(total, kExamples);
  task::Dataset sample{dataset.files, {}, dataset.max_windows};
  double bytes = 0, kept = 0;
  for (int64_t i = 0; i < taken; ++i) {
    task::Example example = dataset.examples[static_cast<size_t>(i * total / taken)];
    for (auto& [name, text] : example.fields) {
      bytes += static_cast<double>(text.size());
      const size_t end = text.size() > kBytes ? text.find_last_of(' ', kBytes) : text.npos;
      if (end != text.npos) text.resize(end);
      kept += static_cast<double>(text.size());
    }
    sample.examples.push_back(std::move(example));
  }
  const double share = kept > 0 ? bytes / kept : 1;
  return {std::move(sample),
          taken == 0 ? 0 : share * static_cast<double>(total) / static_cast<double>(taken)};
}

TokenCount CountTokens(const std::vector<ask::Sequence>& sequences, double times, bool generates) {
  TokenCount tokens;
  for (const ask::Sequence& sequence : sequences) {
    tokens.inputs += static_cast<double>(sequence.input.ids.size());
    tokens.targets += static_cast<double>(sequence.target.size());
  }
  tokens.examples = times * static_cast<double>(sequences.size());
  if (!sequences.empty()) tokens.longest = tokens.all() / static_cast<double>(sequences.size());
  tokens.inputs *= times;
  tokens.targets *= times;
  if (generates) tokens.generated = tokens.targets;
  return tokens;
}

}  // namespace

TokenCount TokenCounter::OfTasks(const std::vector<std::string>& files, const std::string& split,
                                 int64_t limit, bool of_windows) {
  TokenCount all;
  for (const task::TaskSpec& spec : ReadTasks(files, split)) {
    const bool windows = of_windows && limit > 0 && task::IsOnlyText(spec.kind);
    const auto [sample, times] =
        TakeSample(task::ReadDataset(spec, split, DataDirectory(spec, data_)), windows ? 0 : limit);
    const text::Tokenizer& tokenizer = tokenizers_.Get(ask::LanguagesOf(spec));
    const auto generation =
        ask::ReadGeneration(model_.directory(), model_.ConfigText(), config_, tokenizer);
    const auto prepared = ask::PrepareTask(spec, sample, config_, tokenizer, generation);
    const TokenCount counted =
        CountTokens(prepared->RightSequences(), times, spec.kind == task::TaskKind::kGeneration);
    all += windows ? counted.AtMost(static_cast<double>(limit * ask::MaxTokens(spec, config_)))
                   : counted;
  }
  return all;
}

TokenCount TokenCounter::OfText(const RecordOptions& options) {
  std::vector<ask::Sequence> sequences;
  for (text::Encoding& encoding :
       ask::EncodeTextFile(options.text, options.field, tokenizers_.Get(), config_,
                           model::FitTextLength(512, config_), options.limit)) {
    sequences.push_back({std::move(encoding), {}});
  }
  return CountTokens(sequences, 1, false);
}

}  // namespace moefy::pipeline
