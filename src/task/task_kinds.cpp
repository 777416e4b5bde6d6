#include "task/task_kinds.h"

#include <algorithm>

namespace moefy::task {

const std::vector<KindRow>& Kinds() {
  static const std::vector<KindRow> kKinds = {
      {TaskKind::kClassification, "classification", {"accuracy"}, "label", true},
      {TaskKind::kMultipleChoice, "multiple_choice", {"accuracy", "accuracy_norm"}, "label", true},
      {TaskKind::kExtractiveQa, "extractive_qa", {"f1", "exact_match"}, "answer", false},
      {TaskKind::kGeneration,
       "generation",
       {"exact_match", "rouge_l", "character_error_rate", "bleu", "chrf"},
       "answer",
       false},
      {TaskKind::kCompletion, "completion", {"accuracy", "perplexity"}, "answer", false},
      {TaskKind::kLanguageModelling,
       "language_modelling",
       {"perplexity", "nats_per_token"},
       "",
       false},
      {TaskKind::kMaskedLanguageModelling,
       "masked_language_modelling",
       {"pseudo_perplexity", "accuracy", "nats_per_token"},
       "",
       false},
  };
  return kKinds;
}

const std::vector<KindKeyRow>& KindKeys() {
  using enum TaskKind;
  static const std::vector<KindKeyRow> kKeys = {
      {"answer_by_letter", {kMultipleChoice}},
      {"continuation", {kMultipleChoice}},
      {"length_normalized", {kClassification, kMultipleChoice}},
      {"max_new_tokens", {kExtractiveQa, kGeneration}},
      {"stop", {kExtractiveQa, kGeneration}},
      {"stride", {kExtractiveQa, kLanguageModelling}},
      {"no_answer", {kExtractiveQa}},
      {"mask_every", {kMaskedLanguageModelling}},
  };
  return kKeys;
}

const std::vector<FormatRow>& Formats() {
  constexpr TaskKind kAny = TaskKind::kClassification;  // a table's kind is not looked at
  static const std::vector<FormatRow> kFormats = {
      {DataFormat::kTsv, "tsv", true, kAny, {}},
      {DataFormat::kCsv, "csv", true, kAny, {}},
      {DataFormat::kJsonl, "jsonl", true, kAny, {}},
      {DataFormat::kParallel, "parallel", true, kAny, {}},
      {DataFormat::kSquad, "squad", false, TaskKind::kExtractiveQa, {"context", "question"}},
      {DataFormat::kRace,
       "race",
       false,
       TaskKind::kMultipleChoice,
       {"context", "question", "choices"}},
      {DataFormat::kDream,
       "dream",
       false,
       TaskKind::kMultipleChoice,
       {"context", "question", "choices"}},
      {DataFormat::kMctest,
       "mctest",
       false,
       TaskKind::kMultipleChoice,
       {"context", "question", "choices"}},
      {DataFormat::kText, "text", false, TaskKind::kLanguageModelling, {"text"}},
  };
  return kFormats;
}

const KindRow& GetKind(TaskKind kind) {
  return *std::find_if(Kinds().begin(), Kinds().end(),
                       [&](const KindRow& row) { return row.kind == kind; });
}

const FormatRow& GetFormat(DataFormat format) {
  return *std::find_if(Formats().begin(), Formats().end(),
                       [&](const FormatRow& row) { return row.format == format; });
}

}  // namespace moefy::task
