#include "ask/prepared_task.h"

#include <set>
#include <utility>

#include "ask/task_inputs.h"
#include "moefy/base/error.h"

namespace moefy::ask {
namespace {

using model::Head;
using task::TaskKind;

using Prepare = std::unique_ptr<PreparedTask> (*)(const TaskInputs& inputs);

// The first token of each label's word, as the model says it. Throws Error{kInput} that names all
// words which the vocabulary does not have.
std::vector<int64_t> FirstLabelTokens(const TaskInputs& inputs) {
  std::vector<int64_t> first_tokens;
  std::vector<std::string> problems;
  for (const task::Label& label : inputs.spec.labels) {
    const std::vector<int64_t> ids =
        inputs.tokenizer.EncodeTarget(label.word, {.add_special_tokens = false}).ids;
    const std::string problem = WordProblem(inputs, label.word, ids);
    if (!problem.empty()) {
      problems.push_back(StrCat("label ", Quoted(label.value), ": ", problem));
    } else {
      first_tokens.push_back(ids.front());
    }
  }
  if (!problems.empty()) {
    throw InputError("task ", Quoted(inputs.spec.name),
                     " does not fit this model: ", Join(problems, "; "));
  }
  return first_tokens;
}

std::unique_ptr<PreparedTask> PrepareClasses(const TaskInputs& inputs) {
  const auto num_labels = static_cast<int64_t>(inputs.spec.labels.size());
  if (inputs.spec.inputs.empty()) {
    throw InputError("task ", Quoted(inputs.spec.name), " has no inputs, which a classification ",
                     "head needs; add \"inputs\": [fields] to the task file");
  }
  if (num_labels != inputs.config.num_labels) {
    throw InputError("task ", Quoted(inputs.spec.name), " has ", num_labels,
                     " labels; the model's head has ", inputs.config.num_labels);
  }
  return PrepareLabels(inputs, {});
}

// Answers by the first token if a text-to-text model can tell all labels apart by it, else by whole
// words.
std::unique_ptr<PreparedTask> PrepareWords(const TaskInputs& inputs) {
  if (inputs.causal() || inputs.spec.length_normalized) return PrepareCandidates(inputs);
  std::vector<int64_t> first_tokens = FirstLabelTokens(inputs);
  const std::set<int64_t> different(first_tokens.begin(), first_tokens.end());
  return different.size() < first_tokens.size() ? PrepareCandidates(inputs)
                                                : PrepareLabels(inputs, std::move(first_tokens));
}

std::unique_ptr<PreparedTask> PrepareCausalLanguage(const TaskInputs& inputs) {
  if (!inputs.causal()) {
    throw InputError(
        "task ", Quoted(inputs.spec.name), " asks for the perplexity of a text, which ",
        "only decoder-only models predict; this ", inputs.config.family, " model has an encoder");
  }
  return PreparePerplexity(inputs);
}

// This table alone decides which head answers which kind of task, and how.
struct PreparedRow {
  TaskKind kind;
  const char* name;
  Head head;
  Prepare prepare;
};

constexpr PreparedRow kRows[] = {
    {TaskKind::kClassification, "classification", Head::kSequenceClassification, PrepareClasses},
    {TaskKind::kClassification, "classification", Head::kLanguageModel, PrepareWords},
    {TaskKind::kMultipleChoice, "multiple choice", Head::kLanguageModel, PrepareCandidates},
    {TaskKind::kExtractiveQa, "question answering", Head::kQuestionAnswering, PrepareSpans},
    {TaskKind::kExtractiveQa, "question answering", Head::kLanguageModel, PrepareGeneration},
    {TaskKind::kGeneration, "generation", Head::kLanguageModel, PrepareGeneration},
    {TaskKind::kCompletion, "completion", Head::kLanguageModel, PrepareCompletion},
    {TaskKind::kLanguageModelling, "language modelling", Head::kLanguageModel,
     PrepareCausalLanguage},
    {TaskKind::kMaskedLanguageModelling, "masked language modelling", Head::kMaskedLanguageModel,
     PrepareMasked},
};

const char* HeadName(Head head) {
  switch (head) {
    case Head::kSequenceClassification:
      return "a classification head";
    case Head::kQuestionAnswering:
      return "a question answering head";
    case Head::kTokenClassification:
      return "a token classification head";
    case Head::kMaskedLanguageModel:
      return "a masked language model's head";
    case Head::kNone:
      return "an encoder without a head";
    case Head::kLanguageModel:
      break;
  }
  return "a language model's head";
}

// The task file must have what the head reads.
void CheckSpec(const task::TaskSpec& spec, const model::ModelConfig& config) {
  if (config.head == Head::kLanguageModel) {
    if (spec.prompt.empty() && !IsOnlyText(spec.kind)) {
      throw InputError("task ", Quoted(spec.name), " has no prompt, which a ", config.family,
                       " model needs; add \"prompt\" to the task file");
    }
  } else if (config.is_regression() || config.is_multi_label()) {
    throw InputError("task ", Quoted(spec.name), " asks which one of its labels is right; the ",
                     "model's head gives ",
                     config.is_regression() ? "values (a regression)"
                                            : "every label a share of its own (problem_type "
                                              "multi_label_classification)");
  } else if (config.head == Head::kQuestionAnswering && spec.inputs.size() != 2) {
    throw InputError("task ", Quoted(spec.name), " has ", spec.inputs.size(),
                     " inputs; a question answering head reads two, the question and the context");
  }
}

}  // namespace

std::unique_ptr<PreparedTask> PrepareTask(const task::TaskSpec& spec, const task::Dataset& dataset,
                                          const model::ModelConfig& config,
                                          const text::Tokenizer& tokenizer,
                                          const model::GenerationOptions& generation) {
  TaskInputs inputs{spec, dataset, config, tokenizer, generation};
  if (!tokenizer.LanguageCodes().empty())
    inputs.config.decoder_start_id = generation.decoder_start_id;
  std::vector<std::string> heads;
  const char* kind = "";
  bool of_encoders = false;  // an encoder may be given such a head
  for (const PreparedRow& row : kRows) {
    if (row.kind != spec.kind) continue;
    if (row.head == config.head) {
      CheckSpec(spec, config);
      return row.prepare(inputs);
    }
    kind = row.name;
    of_encoders = of_encoders || row.head == Head::kSequenceClassification ||
                  row.head == Head::kQuestionAnswering;
    heads.emplace_back(HeadName(row.head));
  }
  throw InputError(HeadName(config.head), " cannot answer the ", kind, " task ", Quoted(spec.name),
                   "; it takes ", Join(heads, " or "),
                   of_encoders && config.architecture == model::Architecture::kEncoder
                       ? ", which `moefy finetune --new-head` makes"
                       : "");
}

}  // namespace moefy::ask
